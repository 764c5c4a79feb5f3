"""The records of a job: how numbers are found and put in."""

from dataclasses import replace

import pytest
from simulate import component, job, truncation

from galfeed.job import Parameter, ParamRef, altered

GALAXY = component(1, "sersic", c0=True, outer=(3,), hidden={"bending": (2,), "fourier": (1, 3), "rotation": "log"})
JOB = job(GALAXY, component(2, "sky"), truncation(3, "radial"))


def test_an_altered_record_is_a_replaced_one():
    for record, changes in (
        (Parameter(1.0, 1, 0.5), {"value": 2.0, "tied": True}),
        (GALAXY, {"name": "devauc", "skip": 1}),
        (JOB.control, {"region": (1, 2, 3, 4)}),
    ):
        before = repr(record)
        made = altered(record, **changes)
        assert repr(made) == repr(replace(record, **changes))
        assert repr(record) == before
        assert made == replace(record, **changes) != record


def test_every_number_is_found_by_its_key():
    for block in JOB.components:
        for key, parameter in block.parameters():
            assert block.parameter(key) is parameter


@pytest.mark.parametrize("key", ["0", "11", "01", "c1", "f2a", "b1", "r11", ""])
def test_a_key_without_a_number_is_an_error(key):
    with pytest.raises(KeyError):
        GALAXY.parameter(key)


def test_a_number_that_a_truncation_leaves_out_is_an_error():
    with pytest.raises(KeyError):
        JOB.components[2].parameter("1")


def test_each_number_can_be_changed_and_no_other_changes_with_it():
    new = Parameter(-7.5, 1, 0.25)
    for block in JOB.components:
        for key, _ in block.parameters():
            made = JOB.updated({ParamRef(block.number, key): new})
            for other in JOB.components:
                for name, old in other.parameters():
                    meant = other is block and name == key
                    assert made.parameter(ParamRef(other.number, name)) is (new if meant else old)


def test_kind_and_variant_are_those_of_the_name():
    names = {
        "sersic": ("sersic", 0),
        "sersic2 /": ("sersic", 2),
        "ferrers": ("ferrer", 0),
        "expdisk31": ("expdisk", 1),
        "strange7": ("strange", 0),
        "radial2-b": ("radial2-b", 0),
    }
    for name, both in names.items():
        block = replace(GALAXY, name=name)
        assert (block.kind, block.variant) == both
