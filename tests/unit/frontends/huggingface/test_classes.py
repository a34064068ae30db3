"""The class that a config means."""

from __future__ import annotations

import pytest

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.huggingface.classes import model_class
from partwise.frontends.huggingface.config import from_data
from tiny_models import BERT


def test_the_architecture_or_the_task_asked_for() -> None:
    source = from_data(dict(BERT), "m")
    assert model_class(source)[0].__name__ == "BertForSequenceClassification"
    assert model_class(source, "BertForMaskedLM")[0].__name__ == "BertForMaskedLM"
    tensorflow = from_data(BERT | {"architectures": ["TFBertModel"]}, "m")
    assert model_class(tensorflow)[0].__name__ == "BertModel"


def test_without_an_architecture_the_bare_model_and_a_note() -> None:
    kind, notes = model_class(from_data(BERT | {"architectures": None}, "m"))
    assert kind.__name__ == "BertModel"
    assert "without a head" in notes[0]


@pytest.mark.parametrize("name", ["BertForTelepathy", "pipeline", "AutoModel", "BertConfig"])
def test_other_names_of_transformers_are_no_architecture(name: str) -> None:
    with pytest.raises(ModelError, match="BertForMaskedLM"):
        model_class(from_data(BERT | {"architectures": [name]}, "m"))


def test_custom_code_is_replaced_where_transformers_has_the_class_and_refused_elsewhere() -> None:
    custom = BERT | {"auto_map": {"AutoModel": "modeling_own.Own"}}
    kind, notes = model_class(from_data(dict(custom), "m"))
    assert kind.__module__.startswith("transformers.")
    assert "not executed" in notes[0]
    with pytest.raises(UnsafeFileError, match="code of its own"):
        model_class(from_data(custom | {"architectures": ["OwnBert"]}, "m"))
