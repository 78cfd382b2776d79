"""The token that rows are padded with."""

from typing import Any

from vtrans.errors import SuiteError


def pad_of(tokenizer: Any) -> int:
    """Id of a tokenizer's pad token.

    Raises:
        SuiteError: it has none.
    """
    if tokenizer.pad_token_id is None:
        raise SuiteError(
            "the model's tokenizer has no pad token",
            "set its `pad_token`, to one whose id is the model's `pad_token_id`, and save it in the model's folder",
        )
    found: int = tokenizer.pad_token_id
    return found
