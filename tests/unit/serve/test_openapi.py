import json

from stocktake.serve import openapi


def refs(part):
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            yield from refs(value)
    elif isinstance(part, list):
        for value in part:
            yield from refs(value)


def test_every_reference_leads_somewhere():
    document = openapi.document(max_count=5, has_token=True)

    schemas = document["components"]["schemas"]
    assert {ref.split("/")[-1] for ref in refs(document)} == set(schemas) - set()
    json.dumps(document)


def test_the_token_is_in_the_document_only_where_there_is_one():
    with_token, without = (openapi.document(max_count=5, has_token=has) for has in (True, False))

    assert with_token["paths"]["/v1/count"]["post"]["security"] == [{"token": []}]
    assert without["paths"]["/v1/count"]["post"]["security"] == []
    assert without["components"]["securitySchemes"] == {}


def test_probabilities_are_as_many_as_the_bundle_has_counts():
    answer = openapi.document(max_count=7, has_token=False)["components"]["schemas"]["Answer"]

    assert answer["properties"]["probabilities"]["minItems"] == 8
    assert answer["properties"]["count"]["maximum"] == 7
