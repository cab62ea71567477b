def test_a_shelf_is_listed_with_options(say):
    parts = {part["name"]: part for part in say("parts", "sampler", "--json").json()["sampler"]}

    assert {"gp", "tpe", "random"} <= set(parts)
    assert all(part["about"] for part in parts.values())


def test_the_list_for_people_names_every_part(say):
    assert "softmax" in say("parts", "head").out


def test_an_unknown_shelf_is_answered_with_the_nearest(say):
    said = say("parts", "heads")

    assert said.code == 2 and "did you mean 'head'?" in said.err
