# The texts of pages in English. Keys are the same in every language; a test says so.

## Signing in

sign-in = Sign In
login-title = Sign in to your account
login-again-title = Confirm that it is you
login-for = to continue to { $app }
username-or-email = Username or email
password = Password
remember-me = Remember me
forgot-password = Forgot your password?
signed-in-as = Signed in as
app-policy = Privacy policy
app-terms = Terms of service

re-authenticate = Please re-authenticate to continue
invalid-username-or-password = Invalid username or password.
account-disabled = Account is disabled, contact your administrator.
login-timed-out = Your login attempt timed out. Login will start from the beginning.
too-many-attempts = { $minutes ->
    [one] There were too many attempts. Wait a minute, then try again.
   *[other] There were too many attempts. Wait { $minutes } minutes, then try again.
}
window-expired = The time to set a new password ran out, and nothing was changed. Sign in with your current password to get more time.
temporary-password-expired = Your temporary password has expired. Ask whoever gave it to you for a new one.
temporary-password-expired-forgot = Your temporary password has expired. Choose “Forgot your password?” to get a link by mail.

## A new password

update-password-title = Set a new password
update-password-reason = You need to change your password to activate your account.
account-name = Account
password-new = New password
password-confirm = Repeat the new password
password-save = Save new password
password-ends-everything = Saving ends your old password and every other session of yours, on all devices.
minutes-left = { $minutes ->
    [0] You have less than a minute left for this page.
    [one] You have 1 minute for this page.
   *[other] You have { $minutes } minutes for this page.
}
password-suggestion = A few words in a row are strong and easy to remember. These were made up just now, for you alone:
password-rules = Your new password

rule-min-length = { $count ->
    [one] has at least 1 character
   *[other] has at least { $count } characters
}
rule-max-length = { $count ->
    [one] has at most 1 character
   *[other] has at most { $count } characters
}
rule-min-digits = { $count ->
    [one] contains a digit
   *[other] contains at least { $count } digits
}
rule-min-lower-case-chars = { $count ->
    [one] contains a lower-case letter
   *[other] contains at least { $count } lower-case letters
}
rule-min-upper-case-chars = { $count ->
    [one] contains an upper-case letter
   *[other] contains at least { $count } upper-case letters
}
rule-min-special-chars = { $count ->
    [one] contains a special character
   *[other] contains at least { $count } special characters
}
rule-not-username = is not your username
rule-not-email = is not your email address
rule-not-contains-username = does not contain your username
rule-regex-pattern = has the form your administrator asks for
rule-history = { $count ->
    [one] is not your last password
   *[other] is none of your last { $count } passwords
}
rule-blacklisted = is not on the list of forbidden passwords
rule-too-common = is not one that many people use
rule-too-little-left = { $count ->
    [one] has at least 1 character besides your names, your address and the name of this place
   *[other] has at least { $count } characters besides your names, your address and the name of this place
}
rule-same-as-old = differs from the one you have now

invalid-password-min-length = Invalid password: minimum length { $count }.
invalid-password-max-length = Invalid password: maximum length { $count }.
invalid-password-min-digits = Invalid password: must contain at least { $count } numerical digits.
invalid-password-min-lower-case-chars = Invalid password: must contain at least { $count } lower case characters.
invalid-password-min-upper-case-chars = Invalid password: must contain at least { $count } upper case characters.
invalid-password-min-special-chars = Invalid password: must contain at least { $count } special characters.
invalid-password-not-username = Invalid password: must not be equal to the username.
invalid-password-not-email = Invalid password: must not be equal to the email.
invalid-password-not-contains-username = Invalid password: Can not contain the username.
invalid-password-regex-pattern = Invalid password: fails to match regex pattern(s).
invalid-password-history = Invalid password: must not be equal to any of last { $count } passwords.
invalid-password-blacklisted = Invalid password: password is blacklisted.
invalid-password-too-common = This password is used by many people, so it is guessed first. Choose one that is yours alone.
invalid-password-too-little-left = Too little of this password is left without your names, your address and the name of this place. Add something that nobody would expect.
invalid-password-same-as-old = This is the password you have now. Choose a different one.
password-missing = Please specify password.
passwords-do-not-match = Passwords don't match.

## An address to confirm

verify-email-title = Confirm your email address
verify-email-sent = We have mailed a code to { $address }. It can take a minute to arrive; look among the unwanted mails, too.
code = Code from the mail
code-confirm = Confirm
code-resend = Send a new mail
code-sent-again = A new mail is on its way. Use the code in the newest one.
code-wrong = This code is not right. Compare it with the newest mail, or have a new one sent.
code-expired = This code is no longer good. Have a new mail sent and use the code in it.
code-resend-later = A mail was sent a moment ago. Wait a minute before you ask for another.

## Profile and terms

update-profile-title = Complete your profile
update-profile-reason = You need to update your user profile to activate your account.
first-name = First name
last-name = Last name
email = Email
email-fixed = Your administrator can change this address.
profile-save = Save and continue
field-missing = Please specify this field.
email-invalid = Invalid email address.
email-taken = Email already exists.

terms-title = Terms and Conditions
terms-none = No terms have been written down here yet. Ask the people who run { $realm } before you accept.
terms-accept = Accept
terms-decline = Decline
terms-declined = Without accepting the terms you cannot go on. You can close this window, or sign in again and accept them.

## Consent

consent-title = Grant access to { $app }
consent-question = { $app } asks to see and use:
consent-nothing = { $app } asks to know who you are, and nothing else.
consent-accept = Allow
consent-cancel = Do not allow
scope-profile = Your name and profile
scope-email = Your email address
scope-address = Your postal address
scope-phone = Your phone number
scope-roles = Your roles
scope-offline-access = Access while you are away
scope-organization = Your organizations

## Signing out, and the account

logout-title = Sign out
logout-question = Do you want to sign out?
logout-confirm = Sign out
signed-out-title = You are signed out
signed-out = You can close this window.
account-title = Your account
account-names = Name
account-username = Username
account-none = not set

## Messages

continue = Continue
onwards-title = One moment
onwards = You are being taken onwards. If nothing happens, press “Continue”.
form-post = Press “Continue” to get back to { $app }.
all-done-title = All done
all-done = Your account is ready. You can close this window and go back to the application.
already-done-title = This was done already
already-done = There is nothing left to do here. You can close this window and go back to the application.
refused-title = Nothing was changed

## Errors

error-title = We are sorry...
error-next = Go back to the application and start again. If that does not help, ask its support and pass on this number:
error-request = Request number
back-to-application = Back to application
invalid-parameter = Invalid parameter: { $name }
missing-parameters = Missing parameters: { $name }
invalid-request = Invalid Request
invalid-redirect-uri = Invalid redirect uri
client-not-found = Client not found.
client-disabled = Client disabled.
client-bearer-only = Bearer-only applications are not allowed to initiate browser login
realm-not-found = Realm does not exist
page-not-found = There is no page at this address.
action-expired = Action expired. Please continue with login now.
cookie-not-found = Your browser did not send the cookie of this sign-in. It may have expired, or cookies may be switched off: if so, switch them on, then start again from the application.
different-user = You are already authenticated as different user '{ $username }' in this session. Please sign out first.
reset-not-allowed = Reset Credential not allowed
unexpected-error = Something went wrong on our side, and nothing was changed.
try-later = This server is busy or cannot reach its database, and nothing was changed. Try again in a minute.
