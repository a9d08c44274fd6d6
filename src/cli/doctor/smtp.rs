//! The doctor's look at the mail server: connects, encrypts and signs in as a mail would, and sends none.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, Tokio1Executor};

use super::Finding;
use crate::config::{Config, Smtp, SmtpTls, limits};

const SMTP: &str = "smtp";
/// What helps where a server offers no STARTTLS.
pub(super) const NO_STARTTLS: &str = "let the server offer STARTTLS, or write smtps:// where it speaks TLS from the \
    first byte; a mail catcher in a network of your own can do without: put ?tls=none behind VESTIBULE_SMTP_URL and \
    set VESTIBULE_INSECURE_PLAIN_SMTP=true";

pub(super) async fn look(config: &Config) -> Finding {
    let Some(smtp) = &config.mail.smtp else {
        return Finding::warning(
            SMTP,
            "none configured: only realms with an smtpServer of their own send mail",
            "set VESTIBULE_SMTP_URL and VESTIBULE_MAIL_FROM",
        );
    };
    let place = format!("{}:{}", smtp.host, smtp.port);
    let transport = match transport(smtp) {
        Ok(transport) => transport,
        Err(error) => {
            return Finding::wrong(SMTP, format!("{place}: {error}"), "mend VESTIBULE_SMTP_URL");
        }
    };
    let tested = tokio::time::timeout(limits::SMTP_COMMAND, transport.test_connection()).await;
    match tested {
        Ok(Ok(true)) if smtp.credentials.is_some() => {
            Finding::ok(SMTP, format!("{place} takes the sign-in"))
        }
        Ok(Ok(true)) => Finding::ok(SMTP, format!("{place} answers")),
        Ok(Ok(false)) => Finding::wrong(
            SMTP,
            format!("{place} answers and does not do as it is told"),
            "look at its log",
        ),
        Ok(Err(error)) => {
            let fix = if error.is_permanent() || error.is_transient() {
                "mend user name and password in VESTIBULE_SMTP_URL (with reserved characters percent-encoded)"
            } else if error.is_client() && causes(&error).contains("STARTTLS") {
                NO_STARTTLS
            } else if error.is_tls() {
                "the certificate must be valid for that name; without TLS nothing is sent"
            } else {
                "mend host and port in VESTIBULE_SMTP_URL, or let this machine reach it"
            };
            Finding::wrong(SMTP, format!("{place}: {}", causes(&error)), fix)
        }
        Err(_) => Finding::wrong(
            SMTP,
            format!("{place} does not answer"),
            "let this machine reach it; many networks block port 25",
        ),
    }
}

fn transport(
    smtp: &Smtp,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let tls = match smtp.tls {
        SmtpTls::Implicit => Tls::Wrapper(TlsParameters::new(smtp.host.clone())?),
        SmtpTls::StartTls => Tls::Required(TlsParameters::new(smtp.host.clone())?),
        SmtpTls::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .tls(tls)
        .timeout(Some(limits::SMTP_COMMAND));
    if let Some(login) = &smtp.credentials {
        builder = builder.credentials(Credentials::new(
            login.username.clone(),
            login.password.expose().to_owned(),
        ));
    }
    Ok(builder.build())
}

/// The error with those causes that it does not name itself; a mail server's answer quotes nothing of ours at this point of the dialog.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}
