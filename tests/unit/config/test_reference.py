"""The pages about the config are in step with its classes."""

from conftest import PROJECT
from luna.config.reference import reference_page, schema_text
from luna.config.section import Section, fields_of
from luna.config.tree import Config


def test_the_pages_are_in_step_with_the_classes() -> None:
    schema = Config.model_json_schema()
    for name, text in (("README.md", reference_page(schema)), ("schema.json", schema_text(schema))):
        assert (PROJECT / "config" / name).read_text(encoding="utf-8") == text, "run `make docs`"


def test_every_key_is_described_and_has_a_default() -> None:
    for name, field in fields_of(Config):
        assert field.description, f"{name} has no description"
        assert name == "runs" or not field.is_required(), f"{name} has no default"


def test_every_section_is_on_the_page() -> None:
    page = reference_page(Config.model_json_schema())
    for name, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            assert f"## `{name}`" in page
    assert "| `augmentation.flip` | number from 0 to 1 | `0" in page
