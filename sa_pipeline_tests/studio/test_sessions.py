"""Who is signed in, as the server tells it."""

from sa_pipeline.studio.people import add_annotator
from sa_pipeline_tests.studio.desk import good, refused


def test_a_browser_is_told_who_is_signed_in_and_that_nobody_is(sqlite_desk) -> None:
    token = add_annotator(sqlite_desk.studio, "Ada")
    browser = sqlite_desk.client()
    assert good(browser.get("/session")) is None
    refused(browser.get("/me/progress"), 401, "not_signed_in")
    assert good(browser.post("/session", json={"token": token}))["annotator"]["name"] == "Ada"
    session = good(browser.get("/session"))
    assert session["annotator"]["name"] == "Ada"
    assert browser.delete("/session", headers={"X-CSRF-Token": session["csrf_token"]}).status_code == 204
    assert good(browser.get("/session")) is None


def test_a_program_with_a_wrong_token_is_refused(sqlite_desk) -> None:
    stranger = sqlite_desk.client(headers={"Authorization": "Bearer nobody-has-this-token"})
    refused(stranger.get("/session"), 401, "not_signed_in")
