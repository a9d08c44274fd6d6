# The texts of pages in English. Keys are the same in every language; a test says so.

## Signing in

sign-in = Sign In
login-title = Sign in to your account
login-again-title = Confirm that it is you
login-for = { $app ->
    [account] to continue to your account
   *[other] to continue to { $app }
}
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
password-by-mail-only = This password no longer works. A new one is set with a link by mail; ask your administrator for one.
password-by-mail-only-forgot = This password no longer works. Choose “Forgot your password?” to get a link by mail that sets a new one.
temporary-password-expired = Your temporary password has expired. Ask whoever gave it to you for a new one.
temporary-password-expired-forgot = Your temporary password has expired. Choose “Forgot your password?” to get a link by mail.

## A new password

update-password-first-title = Set your password
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
password-advice-keyboard = Keys that lie in a row are guessed early. Take a few words that have nothing to do with each other.
password-advice-repeats = Repetition makes a password longer, not stronger. Take a few different words.
password-advice-common = This is close to a password that many people use. Take a few words that have nothing to do with each other.
password-advice-sequence = Sequences such as abc or 6543 are guessed early. Take a few words that have nothing to do with each other.
password-advice-dates = Years and dates are guessed early. Take a few words that have nothing to do with you.
password-advice-single-word = One word by itself is soon guessed. Add a few that have nothing to do with it.
password-advice-names = Names are guessed early. Take a few words that have nothing to do with you.
password-advice-add-words = Another word or two make it stronger, uncommon ones most of all.
password-missing = Please specify password.
passwords-do-not-match = Passwords don't match.

## An address to confirm

verify-email-title = Confirm your email address
verify-email-sent = We have mailed a code to { $address }. It can take a minute to arrive; look among the unwanted mails, too.
verify-email-ask = Your account has no email address yet. Type yours, and we mail a code there.
verify-email-send = Mail me a code
verify-email-no-mail = Your email address has to be confirmed before you go on, and no mail can be sent from here. Ask the people who run { $realm } for help, and sign in again afterwards.
code = Code from the mail
code-confirm = Confirm
code-resend = Send a new mail
email-other = Use another address
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
account-change-email = Change address
account-new-email = New address, not confirmed yet
account-back = Back to your account
change-email-title = Change your email address
change-email-present = Your address now
change-email-new = New address
change-email-lead = We mail a link to the new address. Once you have opened and confirmed it, the new address is yours, the old one is told, and you sign in anew everywhere.
change-email-send = Mail me the link
change-email-sent-title = Look into the new mailbox
change-email-sent = A link is on its way to { $address }. Open it and confirm the address, and it is yours; until then your address is still { $present }. The mail can take a minute to arrive; look among the unwanted mails, too.
change-email-sent-first = A link is on its way to { $address }. Open it and confirm the address, and it is yours; until then you have none. The mail can take a minute to arrive; look among the unwanted mails, too.
change-email-same = This is your address already. Type the one that is to take its place.
change-email-later = { $count ->
    [one] There were too many mails for now, and nothing was changed; a link that came before is as good as it was. Wait a minute, then try again.
   *[other] There were too many mails for now, and nothing was changed; a link that came before is as good as it was. Wait { $count } minutes, then try again.
}

## Links

link-title = Welcome
link-lead-first-password = You are about to set the password of your account.
link-lead-new-password = You are about to set a new password for your account.
link-lead-actions = There are a few steps to do for your account.
link-lead-nothing = There is nothing left to do for your account. From here you go on to signing in.
link-lead-address = You are about to confirm the address { $address }.
link-set-password = Set a password
link-go-on = Go on
link-confirm = Confirm the address
link-other = You are signed in as { $other } here, and this link is for { $account }. { $other } stays signed in until the password is set.
link-other-address = You are signed in as { $other } here, and this link is for { $account }. To go on, sign in as { $account }; { $other } stays signed in until then.
link-other-actions = You are signed in as { $other } here, and this link is for { $account }. What you do from here is done for { $account }, and { $other } stays signed in.
link-expired-title = This link has expired
link-expired = Its time is over, and nothing was changed. We can mail a fresh one to { $address }.
link-expired-ask = Its time is over, and nothing was changed. Ask whoever gave it to you for a new one.
link-renew = Mail me a fresh link
link-renewed-title = Look into your mailbox
link-renewed = A fresh link is on its way to { $address }. It can take a minute to arrive; look among the unwanted mails, too. If none has come in ten minutes, open the old link once more.
link-renewed-lately = A fresh link was mailed to { $address } a few minutes ago. Look among the unwanted mails, too. If it is not there in ten minutes, open the old link once more.
link-not-renewed = There is no further link to be had in this way. Ask the people who sent you the first one.
link-over-title = This link is no longer good
link-used = It was used already, and works only once. Sign in with the password that was set with it.
link-superseded = A newer mail took its place. Open the link in the newest mail.
link-revoked = It was taken back, or your account has changed since. Sign in as you always do, or have a new link sent to you.
link-unknown = There is no such link. Open it from the mail once more, and take care that the whole address is copied.
link-open-again = Your browser has forgotten this link. Open it from the mail once more; if that does not help, allow cookies for this site.
link-window-over = The time to set a password ran out, and nothing was changed. Open the link from the mail once more to get more time.
link-expired-open-again = Its time ran out, and nothing was changed. Open it from the mail once more, and have a fresh one sent.
link-somebody-else = It is for another account than the one you have signed in with, and nothing was changed. Sign out, then open it from the mail once more.
link-address-title = Address confirmed
link-address-confirmed = Your address is confirmed.
link-address-taken = Another account here has this address, and nothing was changed. Sign in with that account, or ask for another address.
link-code-title = Type the code from your mail
link-code-lead = Type the address that the mail came to, and the code in it.
link-code-address = Your email address
link-code-wrong = Address and code do not belong together, or the code is no longer good. Compare both with the newest mail, or open the link in it.
link-not-me-title = Was this not you?
link-not-me-something = On { $when } we told you of a change to your account.
link-not-me-mails = If it was not you, close the account until you have a new password: no password works any more, everybody is signed out everywhere, and we mail { $address } a link with which you set a new one. Nothing of yours is deleted.
link-not-me-returns = If it was not you, close the account until you have a new password: no password works any more, everybody is signed out everywhere, the account has the address { $address } again, and we mail a link there with which you set a new password. Nothing of yours is deleted.
link-not-me-asks = If it was not you, close the account until you have a new password: no password works any more, and everybody is signed out everywhere. We cannot mail you a link by ourselves; the people who run { $realm } help you to a new password. Nothing of yours is deleted.
link-not-me-close = Close the account for now
link-not-me-was-me = If it was you, there is nothing to do. Close this page.
link-not-me-closed-title = The account is closed
link-not-me-closed = No password works any more, and everybody is signed out. A link to set a new password is on its way to { $address }. It can take a minute to arrive; look among the unwanted mails, too.
link-not-me-returned = No password works any more, and everybody is signed out. The account has the address { $address } again, and a link to set a new password is on its way there. It can take a minute to arrive; look among the unwanted mails, too.
link-not-me-ask = No password works any more, and everybody is signed out. Tell the people who run { $realm } what happened: they help you to a new password.
link-not-me-used = The account was closed with it already. Set a new password by the link in our newest mail, or have a fresh one mailed: “Forgot your password?” at the sign-in does that where it is offered, else ask the people who run { $realm }.
link-not-me-over = It does nothing any more, and nothing was changed. If you think that somebody else is in your account, set a new password, which ends everything older: by “Forgot your password?” at the sign-in where it is offered, else ask the people who run { $realm }.

## A forgotten password

forgot-title = Forgot your password?
forgot-lead = Tell us who you are, and we mail you a link to set a new password.
forgot-send = Mail me a link
forgot-back = Back to signing in
forgot-sent-title = Look into your mailbox
forgot-sent = If there is an account of that name with an email address, a link is on its way to it. It can take a few minutes to arrive; look among the unwanted mails, too.

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
action-expired-next = If you have just saved a new password, it is in force: sign in with it.
cookie-not-found = Your browser did not send the cookie of this sign-in. It may have expired, or cookies may be switched off: if so, switch them on, then start again from the application.
different-user = You are already authenticated as different user '{ $username }' in this session. Please sign out first.
reset-not-allowed = Reset Credential not allowed
unexpected-error = Something went wrong on our side, and nothing was changed.
try-later = This server is busy or cannot reach its database, and nothing was changed. Try again in a minute.

## Mails

mail-origin = Sent automatically by { $realm } at { $host }.
time = { $month ->
    [1] { $day } January { $year } at { $time } UTC
    [2] { $day } February { $year } at { $time } UTC
    [3] { $day } March { $year } at { $time } UTC
    [4] { $day } April { $year } at { $time } UTC
    [5] { $day } May { $year } at { $time } UTC
    [6] { $day } June { $year } at { $time } UTC
    [7] { $day } July { $year } at { $time } UTC
    [8] { $day } August { $year } at { $time } UTC
    [9] { $day } September { $year } at { $time } UTC
    [10] { $day } October { $year } at { $time } UTC
    [11] { $day } November { $year } at { $time } UTC
   *[12] { $day } December { $year } at { $time } UTC
}
mail-note = A message from the people who run { $realm }:
mail-not-you = If this was not you, tell the people who run { $realm } at once.
mail-not-expected = If you did not expect this, ask the people who run { $realm }.

mail-verify-email-subject = Confirm your email address
mail-verify-email-lead = Type this code on the page that asked for it:
mail-code-lifetime = { $minutes ->
    [0] The code is good for less than a minute.
    [one] The code is good for 1 minute.
   *[other] The code is good for { $minutes } minutes.
}
mail-code-not-asked = If you did not ask for it, ignore this mail; without the code nothing happens. Give it to nobody, whoever asks.

mail-password-changed-subject = Your password was changed
mail-password-changed-lead = The password of your account was changed on { $when }.
mail-password-changed-ended = The old password no longer works, and whoever was signed in with it has been signed out.

mail-password-set-subject = A new password was set for you
mail-password-set-lead = An administrator set a new password for your account on { $when }.
mail-password-set-next = You can go on using it; you will not be asked to choose your own.

mail-temporary-password-subject = A temporary password was set for you
mail-temporary-password-lead = An administrator set a temporary password for your account on { $when }.
mail-temporary-password-next = At your next sign-in you choose your own.
mail-temporary-password-until = The temporary password works until { $until }.

mail-reset-required-subject = A new password is needed
mail-reset-required-lead = On { $when } an administrator asked that you set a new password.
mail-reset-required-next = Sign in as you always do, and you will be asked for it. Nobody needs to know your old or new password for this.
mail-reset-required-by-mail = Your old password no longer works. You set a new one by a link that is mailed to you; if none has come, choose “Forgot your password?” at the sign-in where it is offered, or ask for one.
mail-reset-required-first = Your account has no password. You set one by a link that is mailed to you; if none has come, choose “Forgot your password?” at the sign-in where it is offered, or ask for one.

mail-action-waived-subject = A step was lifted for you
mail-action-waived-password = On { $when } an administrator decided that you need not set a new password after all.
mail-action-waived-email = On { $when } an administrator decided that you need not confirm your email address after all.
mail-action-waived-profile = On { $when } an administrator decided that you need not complete your profile after all.
mail-action-waived-terms = On { $when } an administrator decided that you need not accept the terms and conditions after all.
mail-action-waived-other = On { $when } an administrator decided that you need not complete the step “{ $action }” after all.

mail-window-extended-subject = You have more time for your new password
mail-window-extended-lead = { $minutes ->
    [one] Since { $when } you have 1 minute after signing in to set a new password.
   *[other] Since { $when } you have { $minutes } minutes after signing in to set a new password.
}

mail-email-changed-subject = Your email address was changed
mail-email-changed-lead = On { $when } your account was given another email address.
mail-email-changed-next = From now on mails about your account go to the new address.

mail-not-me = If this was not you, close your account now: after one more press no password works, everybody is signed out, and only a link in a mail sets a new password.
mail-not-me-unexpected = If you did not expect this, ask the people who run { $realm }. If you think that somebody else is after your account, close it now: after one more press no password works, everybody is signed out, and only a link in a mail sets a new password.
mail-not-me-button = This was not me

mail-account-closed-subject = Your account was closed
mail-account-closed-lead = On { $when } somebody who gets the mails of your account said that a change was not theirs, and closed the account.
mail-account-closed-next = No password works any more, and everybody has been signed out. A new password is set by a link in a mail alone.
mail-closed-account-subject = Set a new password
mail-closed-account-lead = Your account at { $realm } is closed, because a change was not yours. Set a new password, and it is open to you alone.

mail-pre-registration-subject = Set your password
mail-pre-registration-lead = An account has been prepared for you at { $realm }. Set a password, and it is yours.
mail-pre-registration-lead-app = An account has been prepared for you at { $realm }. Set a password, and you can use { $app }.
mail-forgotten-password-subject = Set a new password
mail-forgotten-password-lead = Somebody, hopefully you, has forgotten the password of your account at { $realm }. Here you set a new one.
mail-forgotten-password-not-you = If it was not you, there is nothing to do: without this mail nobody can set a password, and your old one still works.
mail-set-password-subject = Set a new password
mail-set-password-lead = The people who run { $realm } ask you to set a new password.
mail-set-password-lead-app = The people who run { $realm } ask you to set a new password, so that you can go on using { $app }.
mail-actions-subject = Something is left to do for your account
mail-actions-lead = The people who run { $realm } ask you for a few steps with your account.
mail-actions-lead-app = The people who run { $realm } ask you for a few steps with your account, so that you can go on using { $app }.
mail-verify-link-subject = Confirm your email address
mail-verify-link-lead = Confirm that this address is yours, so that { $realm } can reach you here.
mail-update-email-subject = Confirm your new email address
mail-update-email-lead = This address is to become the one of your account at { $realm }. It does once you confirm it.
mail-link-set-password = Set a password
mail-link-go-on = Go on
mail-link-confirm = Confirm the address
mail-link-host = The button leads to { $host }.
mail-link-code = If the button does not work, open { $url } and type your address and this code:
mail-link-username = Your user name is { $username }.
mail-link-sign-in = Afterwards you sign in at { $url }
mail-link-old-password-ended = Your old password no longer works. Only a link such as this one sets a new one.
mail-link-not-expected = It is meant for you alone, so give it to nobody. If you did not expect this mail, ask the people who run { $realm }.
mail-link-days = { $count ->
    [one] The link is good for 1 day and works once.
   *[other] The link is good for { $count } days and works once.
}
mail-link-hours = { $count ->
    [one] The link is good for 1 hour and works once.
   *[other] The link is good for { $count } hours and works once.
}
mail-link-minutes = { $count ->
    [0] The link is good for less than a minute and works once.
    [one] The link is good for 1 minute and works once.
   *[other] The link is good for { $count } minutes and works once.
}

mail-test-subject = The mail settings work
mail-test-lead = This is a test message. It was sent on { $when }, because an administrator tried the mail settings.
mail-test-next = There is nothing to do.
