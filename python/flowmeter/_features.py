# SPDX-License-Identifier: BSD-3-Clause
"""The feature sets and their columns, from the library's tables."""
from typing import NamedTuple

from . import _native


class Feature(NamedTuple):
    """A column."""
    name: str
    unit: str
    """"s", "packets", "B", "B/s", …; "-" if it has none."""
    definition: str


class FeatureSet(NamedTuple):
    """A set of columns, as chosen by read(features=name)."""
    name: str
    description: str


def _as_features(columns: "list[_native.Described]") -> list[Feature]:
    return [Feature(name, unit, definition) for name, unit, definition, *_ in columns]


def features(feature_set: str = "cic82") -> list[Feature]:
    """The columns of a feature set, in order. Raises ValueError if there is no such set."""
    return _as_features(_native.columns_of(feature_set))


def further_columns() -> list[Feature]:
    """Columns that are in no set, but that `extra` and `fields` can name."""
    return _as_features(_native.further_columns())


def feature_sets() -> list[FeatureSet]:
    """All feature sets; the first is the default."""
    return [FeatureSet(name, description) for name, description in _native.feature_sets()]
