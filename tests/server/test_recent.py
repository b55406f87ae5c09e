"""A memory of bounded size."""

from finesight.server.recent import Recent


def test_what_was_longest_not_used_goes_first():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    recent.clear()
    assert (len(recent), recent.get("a")) == (0, None)


def test_sizes_add_up_to_the_budget_at_most():
    recent = Recent(10, len)
    recent.put("small", "abc")
    recent.put("too large", "x" * 11)
    assert (recent.get("small"), recent.get("too large")) == ("abc", None)
    recent.put("small", "abcdef")  # in place of the earlier one
    recent.put("other", "abcd")
    assert (len(recent), recent.get("small")) == (2, "abcdef")
    recent.put("third", "a")
    assert recent.get("other") is None
