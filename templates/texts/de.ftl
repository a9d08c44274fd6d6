# Die Texte der Seiten auf Deutsch. Die Schlüssel sind in jeder Sprache dieselben; ein Test wacht darüber.

## Anmelden

sign-in = Anmelden
login-title = Bei Ihrem Konto anmelden
login-again-title = Bestätigen Sie, dass Sie es sind
login-for = { $app ->
    [account] und weiter zu Ihrem Konto
   *[other] und weiter zu { $app }
}
username-or-email = Benutzername oder E-Mail
password = Passwort
remember-me = Angemeldet bleiben
forgot-password = Passwort vergessen?
signed-in-as = Angemeldet als
app-policy = Datenschutzerklärung
app-terms = Nutzungsbedingungen

re-authenticate = Bitte melden Sie sich erneut an, um fortzufahren
invalid-username-or-password = Ungültiger Benutzername oder ungültiges Passwort.
account-disabled = Ihr Konto ist gesperrt. Wenden Sie sich an Ihre Administration.
login-timed-out = Ihre Anmeldung hat zu lange gedauert und beginnt nun von vorn.
too-many-attempts = { $minutes ->
    [one] Das waren zu viele Versuche. Warten Sie eine Minute, dann versuchen Sie es noch einmal.
   *[other] Das waren zu viele Versuche. Warten Sie { $minutes } Minuten, dann versuchen Sie es noch einmal.
}
window-expired = Die Zeit für das neue Passwort ist abgelaufen, geändert wurde nichts. Melden Sie sich mit Ihrem jetzigen Passwort an, um mehr Zeit zu bekommen.
password-by-mail-only = Dieses Passwort gilt nicht mehr. Ein neues wird mit einem Link per E-Mail gesetzt; bitten Sie Ihre Administration darum.
password-by-mail-only-forgot = Dieses Passwort gilt nicht mehr. Wählen Sie „Passwort vergessen?“, dann bekommen Sie per Mail einen Link, mit dem Sie ein neues festlegen.
temporary-password-expired = Ihr vorläufiges Passwort ist abgelaufen. Bitten Sie die Person um ein neues, die es Ihnen gegeben hat.
temporary-password-expired-forgot = Ihr vorläufiges Passwort ist abgelaufen. Wählen Sie „Passwort vergessen?“, um einen Link per E-Mail zu bekommen.

## Ein neues Passwort

update-password-first-title = Passwort festlegen
update-password-title = Neues Passwort festlegen
update-password-reason = Sie müssen Ihr Passwort ändern, um Ihr Konto zu aktivieren.
account-name = Konto
password-new = Neues Passwort
password-confirm = Neues Passwort wiederholen
password-save = Neues Passwort speichern
password-ends-everything = Mit dem Speichern enden Ihr altes Passwort und alle Ihre anderen Sitzungen, auf allen Geräten.
minutes-left = { $minutes ->
    [0] Für diese Seite bleibt weniger als eine Minute.
    [one] Für diese Seite haben Sie 1 Minute Zeit.
   *[other] Für diese Seite haben Sie { $minutes } Minuten Zeit.
}
password-suggestion = Ein paar Wörter hintereinander sind stark und leicht zu merken. Diese sind eben erst entstanden, nur für Sie:
password-rules = Ihr neues Passwort

rule-min-length = hat mindestens { $count } Zeichen
rule-max-length = hat höchstens { $count } Zeichen
rule-min-digits = { $count ->
    [one] enthält eine Ziffer
   *[other] enthält mindestens { $count } Ziffern
}
rule-min-lower-case-chars = { $count ->
    [one] enthält einen Kleinbuchstaben
   *[other] enthält mindestens { $count } Kleinbuchstaben
}
rule-min-upper-case-chars = { $count ->
    [one] enthält einen Großbuchstaben
   *[other] enthält mindestens { $count } Großbuchstaben
}
rule-min-special-chars = { $count ->
    [one] enthält ein Sonderzeichen
   *[other] enthält mindestens { $count } Sonderzeichen
}
rule-not-username = ist nicht Ihr Benutzername
rule-not-email = ist nicht Ihre E-Mail-Adresse
rule-not-contains-username = enthält nicht Ihren Benutzernamen
rule-regex-pattern = hat die Form, die Ihre Administration verlangt
rule-history = { $count ->
    [one] ist nicht Ihr letztes Passwort
   *[other] ist keines Ihrer letzten { $count } Passwörter
}
rule-blacklisted = steht nicht auf der Liste verbotener Passwörter
rule-too-common = ist keines, das viele Menschen benutzen
rule-too-little-left = hat mindestens { $count } Zeichen außer Ihren Namen, Ihrer Adresse und dem Namen dieses Ortes
rule-same-as-old = ist ein anderes als Ihr jetziges

invalid-password-min-length = Ungültiges Passwort: Es muss mindestens { $count } Zeichen lang sein.
invalid-password-max-length = Ungültiges Passwort: Es darf höchstens { $count } Zeichen lang sein.
invalid-password-min-digits = Ungültiges Passwort: Es muss mindestens { $count } Ziffern enthalten.
invalid-password-min-lower-case-chars = Ungültiges Passwort: Es muss mindestens { $count } Kleinbuchstaben enthalten.
invalid-password-min-upper-case-chars = Ungültiges Passwort: Es muss mindestens { $count } Großbuchstaben enthalten.
invalid-password-min-special-chars = Ungültiges Passwort: Es muss mindestens { $count } Sonderzeichen enthalten.
invalid-password-not-username = Ungültiges Passwort: Es darf nicht gleich dem Benutzernamen sein.
invalid-password-not-email = Ungültiges Passwort: Es darf nicht gleich der E-Mail-Adresse sein.
invalid-password-not-contains-username = Ungültiges Passwort: Es darf den Benutzernamen nicht enthalten.
invalid-password-regex-pattern = Ungültiges Passwort: Es hat nicht die verlangte Form.
invalid-password-history = Ungültiges Passwort: Es darf keines der letzten { $count } Passwörter sein.
invalid-password-blacklisted = Ungültiges Passwort: Es steht auf der Liste verbotener Passwörter.
invalid-password-too-common = Dieses Passwort benutzen viele Menschen, es wird also zuerst erraten. Wählen Sie eines, das nur Ihnen gehört.
invalid-password-too-little-left = Ohne Ihre Namen, Ihre Adresse und den Namen dieses Ortes bleibt von diesem Passwort zu wenig übrig. Fügen Sie etwas hinzu, das niemand erwartet.
invalid-password-same-as-old = Das ist Ihr jetziges Passwort. Wählen Sie ein anderes.
password-advice-keyboard = Tasten, die nebeneinanderliegen, werden früh erraten. Nehmen Sie ein paar Wörter, die nichts miteinander zu tun haben.
password-advice-repeats = Wiederholungen machen ein Passwort länger, aber nicht stärker. Nehmen Sie ein paar verschiedene Wörter.
password-advice-common = Das ist nahe an einem Passwort, das viele Menschen benutzen. Nehmen Sie ein paar Wörter, die nichts miteinander zu tun haben.
password-advice-sequence = Folgen wie abc oder 6543 werden früh erraten. Nehmen Sie ein paar Wörter, die nichts miteinander zu tun haben.
password-advice-dates = Jahre und Daten werden früh erraten. Nehmen Sie ein paar Wörter, die nichts mit Ihnen zu tun haben.
password-advice-single-word = Ein einzelnes Wort ist bald erraten. Fügen Sie ein paar hinzu, die nichts damit zu tun haben.
password-advice-names = Namen werden früh erraten. Nehmen Sie ein paar Wörter, die nichts mit Ihnen zu tun haben.
password-advice-add-words = Ein oder zwei Wörter mehr machen es stärker, am besten ungewöhnliche.
password-missing = Bitte geben Sie ein Passwort ein.
passwords-do-not-match = Die Passwörter stimmen nicht überein.

## Eine Adresse bestätigen

verify-email-title = E-Mail-Adresse bestätigen
verify-email-sent = Wir haben einen Code an { $address } geschickt. Es kann eine Minute dauern; sehen Sie auch unter den unerwünschten Mails nach.
verify-email-ask = Ihr Konto hat noch keine E-Mail-Adresse. Geben Sie Ihre an, wir schicken einen Code dorthin.
verify-email-send = Code senden
verify-email-no-mail = Bevor es weitergeht, muss Ihre E-Mail-Adresse bestätigt werden, und von hier kann keine E-Mail verschickt werden. Bitten Sie die Betreiber von { $realm } um Hilfe und melden Sie sich danach neu an.
code = Code aus der E-Mail
code-confirm = Bestätigen
code-resend = Neue E-Mail senden
email-other = Andere Adresse angeben
code-sent-again = Eine neue E-Mail ist unterwegs. Nehmen Sie den Code aus der neuesten.
code-wrong = Dieser Code stimmt nicht. Vergleichen Sie ihn mit der neuesten E-Mail oder lassen Sie sich eine neue senden.
code-expired = Dieser Code gilt nicht mehr. Lassen Sie sich eine neue E-Mail senden und nehmen Sie den Code daraus.
code-resend-later = Eben wurde eine E-Mail geschickt. Warten Sie eine Minute, bevor Sie eine weitere anfordern.

## Profil und Bedingungen

update-profile-title = Profil vervollständigen
update-profile-reason = Sie müssen Ihr Profil vervollständigen, um Ihr Konto zu aktivieren.
first-name = Vorname
last-name = Nachname
email = E-Mail
email-fixed = Diese Adresse kann Ihre Administration ändern.
profile-save = Speichern und weiter
field-missing = Bitte füllen Sie dieses Feld aus.
email-invalid = Ungültige E-Mail-Adresse.
email-taken = Die E-Mail-Adresse wird bereits verwendet.

terms-title = Nutzungsbedingungen
terms-none = Hier sind noch keine Bedingungen aufgeschrieben. Fragen Sie die Betreiber von { $realm }, bevor Sie zustimmen.
terms-accept = Zustimmen
terms-decline = Ablehnen
terms-declined = Ohne Zustimmung zu den Bedingungen geht es nicht weiter. Sie können dieses Fenster schließen oder sich neu anmelden und zustimmen.

## Einwilligung

consent-title = Zugriff für { $app }
consent-question = { $app } möchte sehen und verwenden:
consent-nothing = { $app } möchte wissen, wer Sie sind, und sonst nichts.
consent-accept = Erlauben
consent-cancel = Nicht erlauben
scope-profile = Ihren Namen und Ihr Profil
scope-email = Ihre E-Mail-Adresse
scope-address = Ihre Postanschrift
scope-phone = Ihre Telefonnummer
scope-roles = Ihre Rollen
scope-offline-access = Zugriff, während Sie abwesend sind
scope-organization = Ihre Organisationen

## Abmelden und das Konto

logout-title = Abmelden
logout-question = Möchten Sie sich abmelden?
logout-confirm = Abmelden
signed-out-title = Sie sind abgemeldet
signed-out = Sie können dieses Fenster schließen.
account-title = Ihr Konto
account-names = Name
account-username = Benutzername
account-none = nicht angegeben
account-change-email = Adresse ändern
account-new-email = Neue Adresse, noch nicht bestätigt
account-back = Zurück zu Ihrem Konto
change-email-title = E-Mail-Adresse ändern
change-email-present = Ihre Adresse jetzt
change-email-new = Neue Adresse
change-email-lead = Wir schicken einen Link an die neue Adresse. Wenn Sie ihn geöffnet und bestätigt haben, ist die neue Adresse Ihre, die alte erfährt davon, und Sie melden sich überall neu an.
change-email-send = Link schicken
change-email-sent-title = Sehen Sie in das neue Postfach
change-email-sent = Ein Link an { $address } ist unterwegs. Öffnen Sie ihn und bestätigen Sie die Adresse, dann ist sie Ihre; bis dahin bleibt Ihre Adresse { $present }. Die Mail kann eine Minute brauchen; sehen Sie auch bei den unerwünschten Mails nach.
change-email-sent-first = Ein Link an { $address } ist unterwegs. Öffnen Sie ihn und bestätigen Sie die Adresse, dann ist sie Ihre; bis dahin haben Sie keine. Die Mail kann eine Minute brauchen; sehen Sie auch bei den unerwünschten Mails nach.
change-email-same = Das ist schon Ihre Adresse. Geben Sie die ein, die an ihre Stelle treten soll.
change-email-later = { $count ->
    [one] Das waren vorerst zu viele Mails, geändert wurde nichts; ein Link, der schon kam, gilt weiter. Warten Sie eine Minute, dann versuchen Sie es noch einmal.
   *[other] Das waren vorerst zu viele Mails, geändert wurde nichts; ein Link, der schon kam, gilt weiter. Warten Sie { $count } Minuten, dann versuchen Sie es noch einmal.
}

## Links

link-title = Willkommen
link-lead-first-password = Hier legen Sie das Passwort Ihres Kontos fest.
link-lead-new-password = Hier legen Sie ein neues Passwort für Ihr Konto fest.
link-lead-actions = Für Ihr Konto sind ein paar Schritte zu tun.
link-lead-nothing = Für Ihr Konto ist nichts mehr zu tun. Von hier geht es weiter zur Anmeldung.
link-lead-address = Hier bestätigen Sie die Adresse { $address }.
link-set-password = Passwort festlegen
link-go-on = Weiter
link-confirm = Adresse bestätigen
link-other = Sie sind hier als { $other } angemeldet, und dieser Link ist für { $account }. { $other } bleibt angemeldet, bis das Passwort festgelegt ist.
link-other-address = Sie sind hier als { $other } angemeldet, und dieser Link ist für { $account }. Um fortzufahren, melden Sie sich als { $account } an; bis dahin bleibt { $other } angemeldet.
link-other-actions = Sie sind hier als { $other } angemeldet, und dieser Link ist für { $account }. Was Sie von hier an tun, gilt für { $account }; { $other } bleibt angemeldet.
link-expired-title = Dieser Link ist abgelaufen
link-expired = Seine Zeit ist vorbei, geändert wurde nichts. Wir können einen neuen an { $address } schicken.
link-expired-ask = Seine Zeit ist vorbei, geändert wurde nichts. Bitten Sie darum, wo Sie ihn bekommen haben, um einen neuen.
link-renew = Neuen Link schicken
link-renewed-title = Sehen Sie in Ihr Postfach
link-renewed = Ein neuer Link ist an { $address } unterwegs. Das kann eine Minute dauern; sehen Sie auch bei den unerwünschten Mails nach. Wenn in zehn Minuten keiner gekommen ist, öffnen Sie den alten Link noch einmal.
link-renewed-lately = Vor ein paar Minuten wurde ein neuer Link an { $address } geschickt. Sehen Sie auch bei den unerwünschten Mails nach. Wenn er in zehn Minuten nicht da ist, öffnen Sie den alten Link noch einmal.
link-not-renewed = Auf diesem Weg gibt es keinen weiteren Link. Fragen Sie bei denen nach, die Ihnen den ersten geschickt haben.
link-over-title = Dieser Link gilt nicht mehr
link-used = Er wurde schon benutzt und funktioniert nur einmal. Melden Sie sich mit dem Passwort an, das damit festgelegt wurde.
link-superseded = Eine neuere Mail ist an seine Stelle getreten. Öffnen Sie den Link in der neuesten Mail.
link-revoked = Er wurde zurückgenommen, oder Ihr Konto hat sich seitdem geändert. Melden Sie sich an wie immer, oder lassen Sie sich einen neuen Link schicken.
link-unknown = Diesen Link gibt es nicht. Öffnen Sie ihn noch einmal aus der Mail und achten Sie darauf, dass die ganze Adresse kopiert ist.
link-open-again = Ihr Browser hat diesen Link vergessen. Öffnen Sie ihn noch einmal aus der Mail; wenn das nicht hilft, erlauben Sie Cookies für diese Seite.
link-window-over = Die Zeit, um ein Passwort festzulegen, ist abgelaufen, geändert wurde nichts. Öffnen Sie den Link noch einmal aus der Mail, dann haben Sie neue Zeit.
link-expired-open-again = Seine Zeit ist abgelaufen, geändert wurde nichts. Öffnen Sie ihn noch einmal aus der Mail und lassen Sie sich einen neuen schicken.
link-somebody-else = Er ist für ein anderes Konto als das, mit dem Sie sich angemeldet haben, geändert wurde nichts. Melden Sie sich ab und öffnen Sie ihn dann noch einmal aus der Mail.
link-address-title = Adresse bestätigt
link-address-confirmed = Ihre Adresse ist bestätigt.
link-address-taken = Diese Adresse hat hier ein anderes Konto, geändert wurde nichts. Melden Sie sich mit jenem Konto an, oder nehmen Sie eine andere Adresse.
link-code-title = Code aus der Mail eingeben
link-code-lead = Geben Sie die Adresse ein, an die die Mail kam, und den Code, der darin steht.
link-code-address = Ihre E-Mail-Adresse
link-code-wrong = Adresse und Code gehören nicht zusammen, oder der Code gilt nicht mehr. Vergleichen Sie beides mit der neuesten Mail, oder öffnen Sie den Link darin.
link-not-me-title = Waren Sie das nicht?
link-not-me-something = Am { $when } haben wir Ihnen eine Änderung an Ihrem Konto gemeldet.
link-not-me-mails = Wenn Sie das nicht waren, sperren Sie das Konto, bis Sie ein neues Passwort haben: Kein Passwort gilt mehr, alle werden überall abgemeldet, und wir schicken { $address } einen Link, mit dem Sie ein neues festlegen. Gelöscht wird nichts.
link-not-me-returns = Wenn Sie das nicht waren, sperren Sie das Konto, bis Sie ein neues Passwort haben: Kein Passwort gilt mehr, alle werden überall abgemeldet, das Konto hat wieder die Adresse { $address }, und dorthin schicken wir einen Link, mit dem Sie ein neues Passwort festlegen. Gelöscht wird nichts.
link-not-me-asks = Wenn Sie das nicht waren, sperren Sie das Konto, bis Sie ein neues Passwort haben: Kein Passwort gilt mehr, und alle werden überall abgemeldet. Einen Link können wir Ihnen nicht von selbst schicken; wer { $realm } betreibt, hilft Ihnen zu einem neuen Passwort. Gelöscht wird nichts.
link-not-me-close = Konto vorerst sperren
link-not-me-was-me = Wenn Sie das waren, müssen Sie nichts tun. Schließen Sie diese Seite.
link-not-me-closed-title = Das Konto ist gesperrt
link-not-me-closed = Kein Passwort gilt mehr, und alle sind abgemeldet. Ein Link, mit dem Sie ein neues Passwort festlegen, ist an { $address } unterwegs. Das kann eine Minute dauern; sehen Sie auch bei den unerwünschten Mails nach.
link-not-me-returned = Kein Passwort gilt mehr, und alle sind abgemeldet. Das Konto hat wieder die Adresse { $address }, und dorthin ist ein Link unterwegs, mit dem Sie ein neues Passwort festlegen. Das kann eine Minute dauern; sehen Sie auch bei den unerwünschten Mails nach.
link-not-me-ask = Kein Passwort gilt mehr, und alle sind abgemeldet. Sagen Sie denen, die { $realm } betreiben, was geschehen ist: Sie helfen Ihnen zu einem neuen Passwort.
link-not-me-used = Das Konto wurde damit schon gesperrt. Legen Sie ein neues Passwort mit dem Link in unserer neuesten Mail fest, oder lassen Sie sich einen neuen schicken: mit „Passwort vergessen?“ bei der Anmeldung, wo es angeboten wird, sonst fragen Sie bei denen nach, die { $realm } betreiben.
link-not-me-over = Er bewirkt nichts mehr, geändert wurde nichts. Wenn Sie glauben, dass jemand anders in Ihrem Konto ist, legen Sie ein neues Passwort fest, das alles Ältere beendet: mit „Passwort vergessen?“ bei der Anmeldung, wo es angeboten wird, sonst fragen Sie bei denen nach, die { $realm } betreiben.

## Ein vergessenes Passwort

forgot-title = Passwort vergessen?
forgot-lead = Sagen Sie uns, wer Sie sind, dann schicken wir Ihnen einen Link, mit dem Sie ein neues Passwort festlegen.
forgot-send = Link schicken
forgot-back = Zurück zur Anmeldung
forgot-sent-title = Sehen Sie in Ihr Postfach
forgot-sent = Wenn es ein Konto dieses Namens mit einer E-Mail-Adresse gibt, ist ein Link dorthin unterwegs. Das kann ein paar Minuten dauern; sehen Sie auch bei den unerwünschten Mails nach.

## Mitteilungen

continue = Weiter
onwards-title = Einen Augenblick
onwards = Es geht gleich weiter. Wenn nichts geschieht, wählen Sie „Weiter“.
form-post = Wählen Sie „Weiter“, um zu { $app } zurückzukehren.
all-done-title = Alles erledigt
all-done = Ihr Konto ist bereit. Sie können dieses Fenster schließen und zur Anwendung zurückkehren.
already-done-title = Das ist schon erledigt
already-done = Hier gibt es nichts mehr zu tun. Sie können dieses Fenster schließen und zur Anwendung zurückkehren.
refused-title = Es wurde nichts geändert

## Fehler

error-title = Es tut uns leid...
error-next = Gehen Sie zurück zur Anwendung und beginnen Sie noch einmal. Hilft das nicht, fragen Sie deren Support und nennen Sie diese Nummer:
error-request = Nummer der Anfrage
back-to-application = Zurück zur Anwendung
invalid-parameter = Ungültiger Parameter: { $name }
missing-parameters = Fehlende Parameter: { $name }
invalid-request = Ungültige Anfrage
invalid-redirect-uri = Ungültige Redirect-URI
client-not-found = Client nicht gefunden.
client-disabled = Der Client ist abgeschaltet.
client-bearer-only = Bearer-only-Anwendungen dürfen keine Anmeldung im Browser beginnen
realm-not-found = Diesen Realm gibt es nicht
page-not-found = Unter dieser Adresse gibt es keine Seite.
action-expired = Die Aktion ist abgelaufen. Bitte melden Sie sich neu an.
action-expired-next = Wenn Sie eben ein neues Passwort gespeichert haben, gilt es schon: Melden Sie sich damit an.
cookie-not-found = Ihr Browser hat das Cookie dieser Anmeldung nicht mitgeschickt. Es ist vielleicht abgelaufen, oder Cookies sind abgeschaltet: Schalten Sie sie dann ein und beginnen Sie in der Anwendung noch einmal.
different-user = Sie sind in dieser Sitzung bereits als anderer Benutzer „{ $username }“ angemeldet. Bitte melden Sie sich zuerst ab.
reset-not-allowed = Das Zurücksetzen des Passworts ist nicht erlaubt
unexpected-error = Bei uns ist etwas schiefgegangen, geändert wurde nichts.
try-later = Dieser Server ist ausgelastet oder erreicht seine Datenbank nicht, geändert wurde nichts. Versuchen Sie es in einer Minute noch einmal.

## Mails

mail-origin = Automatisch verschickt von { $realm } auf { $host }.
time = { $month ->
    [1] { $day }. Januar { $year } um { $time } Uhr (UTC)
    [2] { $day }. Februar { $year } um { $time } Uhr (UTC)
    [3] { $day }. März { $year } um { $time } Uhr (UTC)
    [4] { $day }. April { $year } um { $time } Uhr (UTC)
    [5] { $day }. Mai { $year } um { $time } Uhr (UTC)
    [6] { $day }. Juni { $year } um { $time } Uhr (UTC)
    [7] { $day }. Juli { $year } um { $time } Uhr (UTC)
    [8] { $day }. August { $year } um { $time } Uhr (UTC)
    [9] { $day }. September { $year } um { $time } Uhr (UTC)
    [10] { $day }. Oktober { $year } um { $time } Uhr (UTC)
    [11] { $day }. November { $year } um { $time } Uhr (UTC)
   *[12] { $day }. Dezember { $year } um { $time } Uhr (UTC)
}
mail-note = Eine Nachricht von denen, die { $realm } betreiben:
mail-not-you = Wenn Sie das nicht waren, melden Sie sich sofort bei denen, die { $realm } betreiben.
mail-not-expected = Wenn Sie das nicht erwartet haben, fragen Sie bei denen nach, die { $realm } betreiben.

mail-verify-email-subject = Bestätigen Sie Ihre Mailadresse
mail-verify-email-lead = Geben Sie diesen Code auf der Seite ein, die danach gefragt hat:
mail-code-lifetime = { $minutes ->
    [0] Der Code gilt noch weniger als eine Minute.
    [one] Der Code gilt 1 Minute lang.
   *[other] Der Code gilt { $minutes } Minuten lang.
}
mail-code-not-asked = Wenn Sie ihn nicht angefordert haben, beachten Sie diese Mail nicht; ohne den Code passiert nichts. Geben Sie ihn niemandem, wer auch fragt.

mail-password-changed-subject = Ihr Passwort wurde geändert
mail-password-changed-lead = Am { $when } wurde das Passwort Ihres Kontos geändert.
mail-password-changed-ended = Das alte Passwort gilt nicht mehr, und wer damit angemeldet war, ist abgemeldet.

mail-password-set-subject = Für Sie wurde ein neues Passwort gesetzt
mail-password-set-lead = Am { $when } hat die Administration ein neues Passwort für Ihr Konto gesetzt.
mail-password-set-next = Sie können es weiter verwenden und werden nicht gebeten, ein eigenes zu wählen.

mail-temporary-password-subject = Für Sie wurde ein vorläufiges Passwort gesetzt
mail-temporary-password-lead = Am { $when } hat die Administration ein vorläufiges Passwort für Ihr Konto gesetzt.
mail-temporary-password-next = Bei der nächsten Anmeldung wählen Sie ein eigenes.
mail-temporary-password-until = Das vorläufige Passwort gilt bis zum { $until }.

mail-reset-required-subject = Ein neues Passwort ist nötig
mail-reset-required-lead = Am { $when } hat die Administration verlangt, dass Sie ein neues Passwort setzen.
mail-reset-required-next = Melden Sie sich an wie immer, dann werden Sie danach gefragt. Dafür muss niemand Ihr altes oder neues Passwort kennen.
mail-reset-required-by-mail = Ihr altes Passwort gilt nicht mehr. Ein neues legen Sie mit einem Link fest, der Ihnen geschickt wird; wenn keiner gekommen ist, wählen Sie „Passwort vergessen?“ bei der Anmeldung, wo es angeboten wird, oder bitten Sie um einen.
mail-reset-required-first = Ihr Konto hat noch kein Passwort. Sie legen es mit einem Link fest, der Ihnen geschickt wird; wenn keiner gekommen ist, wählen Sie „Passwort vergessen?“ bei der Anmeldung, wo es angeboten wird, oder bitten Sie um einen.

mail-action-waived-subject = Ein Schritt wurde Ihnen erlassen
mail-action-waived-password = Am { $when } hat die Administration entschieden, dass Sie doch kein neues Passwort setzen müssen.
mail-action-waived-email = Am { $when } hat die Administration entschieden, dass Sie Ihre E-Mail-Adresse doch nicht bestätigen müssen.
mail-action-waived-profile = Am { $when } hat die Administration entschieden, dass Sie Ihr Profil doch nicht ergänzen müssen.
mail-action-waived-terms = Am { $when } hat die Administration entschieden, dass Sie den Nutzungsbedingungen doch nicht zustimmen müssen.
mail-action-waived-other = Am { $when } hat die Administration entschieden, dass Sie den Schritt „{ $action }“ doch nicht ausführen müssen.

mail-window-extended-subject = Sie haben mehr Zeit für Ihr neues Passwort
mail-window-extended-lead = { $minutes ->
    [one] Seit dem { $when } haben Sie nach der Anmeldung 1 Minute Zeit, um ein neues Passwort zu setzen.
   *[other] Seit dem { $when } haben Sie nach der Anmeldung { $minutes } Minuten Zeit, um ein neues Passwort zu setzen.
}

mail-email-changed-subject = Ihre Mailadresse wurde geändert
mail-email-changed-lead = Am { $when } hat Ihr Konto eine andere E-Mail-Adresse bekommen.
mail-email-changed-next = Mails zu Ihrem Konto gehen von jetzt an an die neue Adresse.

mail-not-me = Wenn Sie das nicht waren, sperren Sie Ihr Konto jetzt: Nach einem weiteren Klick gilt kein Passwort mehr, alle sind abgemeldet, und nur ein Link in einer Mail setzt ein neues.
mail-not-me-unexpected = Wenn Sie das nicht erwartet haben, fragen Sie bei denen nach, die { $realm } betreiben. Wenn Sie glauben, dass es jemand auf Ihr Konto abgesehen hat, sperren Sie es jetzt: Nach einem weiteren Klick gilt kein Passwort mehr, alle sind abgemeldet, und nur ein Link in einer Mail setzt ein neues.
mail-not-me-button = Das war ich nicht

mail-account-closed-subject = Ihr Konto wurde gesperrt
mail-account-closed-lead = Am { $when } hat jemand, der die Mails Ihres Kontos bekommt, eine Änderung nicht als eigene anerkannt und das Konto gesperrt.
mail-account-closed-next = Kein Passwort gilt mehr, und alle sind abgemeldet. Ein neues Passwort wird nur mit einem Link in einer Mail festgelegt.
mail-closed-account-subject = Legen Sie ein neues Passwort fest
mail-closed-account-lead = Ihr Konto bei { $realm } ist gesperrt, weil eine Änderung nicht von Ihnen kam. Legen Sie ein neues Passwort fest, dann steht es nur Ihnen wieder offen.

mail-pre-registration-subject = Legen Sie Ihr Passwort fest
mail-pre-registration-lead = Bei { $realm } ist ein Konto für Sie angelegt. Legen Sie ein Passwort fest, dann gehört es Ihnen.
mail-pre-registration-lead-app = Bei { $realm } ist ein Konto für Sie angelegt. Legen Sie ein Passwort fest, dann können Sie { $app } benutzen.
mail-forgotten-password-subject = Legen Sie ein neues Passwort fest
mail-forgotten-password-lead = Jemand, hoffentlich Sie selbst, hat das Passwort Ihres Kontos bei { $realm } vergessen. Hier legen Sie ein neues fest.
mail-forgotten-password-not-you = Wenn Sie das nicht waren, müssen Sie nichts tun: Ohne diese Mail kann niemand ein Passwort festlegen, und Ihr altes gilt weiter.
mail-set-password-subject = Legen Sie ein neues Passwort fest
mail-set-password-lead = Die Betreiber von { $realm } bitten Sie, ein neues Passwort festzulegen.
mail-set-password-lead-app = Die Betreiber von { $realm } bitten Sie, ein neues Passwort festzulegen, damit Sie { $app } weiter benutzen können.
mail-actions-subject = Für Ihr Konto ist noch etwas zu tun
mail-actions-lead = Die Betreiber von { $realm } bitten Sie um ein paar Schritte mit Ihrem Konto.
mail-actions-lead-app = Die Betreiber von { $realm } bitten Sie um ein paar Schritte mit Ihrem Konto, damit Sie { $app } weiter benutzen können.
mail-verify-link-subject = Bestätigen Sie Ihre Mailadresse
mail-verify-link-lead = Bestätigen Sie, dass diese Adresse Ihnen gehört, damit { $realm } Sie hier erreicht.
mail-update-email-subject = Bestätigen Sie Ihre neue Mailadresse
mail-update-email-lead = Diese Adresse soll zu Ihrem Konto bei { $realm } gehören. Das tut sie, sobald Sie sie bestätigen.
mail-link-set-password = Passwort festlegen
mail-link-go-on = Weiter
mail-link-confirm = Adresse bestätigen
mail-link-host = Die Schaltfläche führt zu { $host }.
mail-link-code = Wenn die Schaltfläche nicht funktioniert, öffnen Sie { $url } und geben Sie Ihre Adresse und diesen Code ein:
mail-link-username = Ihr Benutzername ist { $username }.
mail-link-sign-in = Danach melden Sie sich hier an: { $url }
mail-link-old-password-ended = Ihr altes Passwort gilt nicht mehr. Ein neues legen Sie nur mit einem Link wie diesem fest.
mail-link-not-expected = Diese Mail ist nur für Sie bestimmt, geben Sie sie niemandem. Wenn Sie sie nicht erwartet haben, fragen Sie bei den Betreibern von { $realm } nach.
mail-link-days = { $count ->
    [one] Der Link gilt 1 Tag lang und funktioniert einmal.
   *[other] Der Link gilt { $count } Tage lang und funktioniert einmal.
}
mail-link-hours = { $count ->
    [one] Der Link gilt 1 Stunde lang und funktioniert einmal.
   *[other] Der Link gilt { $count } Stunden lang und funktioniert einmal.
}
mail-link-minutes = { $count ->
    [0] Der Link gilt noch weniger als eine Minute und funktioniert einmal.
    [one] Der Link gilt 1 Minute lang und funktioniert einmal.
   *[other] Der Link gilt { $count } Minuten lang und funktioniert einmal.
}

mail-test-subject = Die Mail-Einstellungen funktionieren
mail-test-lead = Das ist eine Testnachricht. Die Administration hat am { $when } die Mail-Einstellungen ausprobiert.
mail-test-next = Es ist nichts zu tun.
