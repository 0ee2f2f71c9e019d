"""The login and sign-up forms."""

import unittest

from microblog.ui import login_form, signup_form

GOOD = {"name": "Ada", "email": "ada@example.org", "password": "analytical1", "confirmation": "analytical1"}


class Validation(unittest.TestCase):
    def test_good_values_have_no_faults(self) -> None:
        self.assertEqual(login_form.validate(GOOD), {})
        self.assertEqual(signup_form.validate(GOOD), {})

    def test_an_address_must_look_like_one(self) -> None:
        for email in ("", "ada", "ada@", "@example.org", "ada@example", "a b@example.org", "a@b@c.org"):
            self.assertIn("email", login_form.validate({**GOOD, "email": email}), email)

    def test_a_password_must_be_strong(self) -> None:
        for password in ("", "short1", "lettersonly", "1234567890"):
            values = {**GOOD, "password": password, "confirmation": password}
            self.assertEqual(list(signup_form.validate(values)), ["password"], password)

    def test_the_confirmation_must_be_equal(self) -> None:
        self.assertIn("confirmation", signup_form.validate({**GOOD, "confirmation": "else"}))


class Rendering(unittest.TestCase):
    def test_a_message_is_linked_to_its_field(self) -> None:
        shown = login_form.render({}, {"email": "bad <b>"})
        self.assertIn('aria-describedby="email-error"', shown)
        self.assertIn('id="email-error">bad &lt;b&gt;<', shown)

    def test_while_busy_nothing_can_be_sent(self) -> None:
        self.assertIn("<button disabled", signup_form.render(GOOD, busy=True))
        self.assertNotIn("disabled", signup_form.render(GOOD))

    def test_a_server_error_is_an_alert(self) -> None:
        self.assertIn('role="alert">try later<', login_form.render(GOOD, server_error="try later"))

    def test_a_password_is_never_written_back(self) -> None:
        self.assertNotIn("analytical1", signup_form.render(GOOD) + login_form.render(GOOD))

    def test_other_values_come_back_escaped(self) -> None:
        self.assertIn('value="&quot;&gt;"', login_form.render({"email": '">'}))
