"""What is worked out once for a model and kept as long as it lives unchanged."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from musicstyle.model.autoencoder import Autoencoder

Result = TypeVar("Result")


def kept_with_model(function: Callable[[Autoencoder, bool], Result]) -> Callable[[Autoencoder, bool], Result]:
    """Decorator of a function of a model and a flag: worked out anew only when one of the parameters has changed."""
    kept: WeakKeyDictionary[Autoencoder, tuple[Any, dict[bool, Result]]] = WeakKeyDictionary()

    @wraps(function)
    def result(model: Autoencoder, flag: bool) -> Result:
        parameters = list(model.parameters())
        if any(parameter.is_inference() for parameter in parameters):  # these do not count their changes
            return function(model, flag)
        version = [(parameter.data_ptr(), parameter._version) for parameter in parameters]  # noqa: SLF001
        if model not in kept or kept[model][0] != version:
            kept[model] = (version, {})
        known = kept[model][1]
        if flag not in known:
            known[flag] = function(model, flag)
        return known[flag]

    return result
