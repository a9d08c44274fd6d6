//! A sign-in as a browser does it: the authorization request, the form, the redirects, and then
//! the client's exchange of the code (OpenID Connect Core 3.1).

use anyhow::{Context, Result, anyhow};
use scraper::{ElementRef, Html, Selector};
use serde::Deserialize;
use url::Url;

use crate::http::{Answer, Connection, post_form, request};
use crate::load::Failure;
use crate::setup::{CODE_VERIFIER, Client, Person, REDIRECT_URI, Target};

/// More redirects than this between the form and the client are a loop.
const MAX_REDIRECTS: usize = 10;

/// The tokens that a client keeps.
#[derive(Deserialize)]
pub struct Tokens {
    /// For userinfo and introspection.
    pub access_token: String,
    /// For the next tokens.
    pub refresh_token: String,
}

/// The sign-in form of a page.
pub struct Form {
    /// Where it is posted.
    pub action: Url,
    fields: Vec<(String, String)>,
}

/// One browser: its cookies. Their attributes do not matter on one host for the length of a
/// sign-in, so only names and values are kept.
#[derive(Default)]
pub struct Browser {
    cookies: Vec<(String, String)>,
}

/// Signs a person in at a client with a new browser and redeems the code.
pub async fn sign_in(
    connection: &mut Connection,
    target: &Target,
    client: Client,
    person: &Person,
) -> Result<Tokens, Failure> {
    let mut browser = Browser::default();
    let form = browser.open(connection, target, client).await?;
    let password = &person.password;
    let answer = browser
        .submit(connection, target, &form, &person.name, password, &[])
        .await?;
    let mut next = redirect(&answer, &form.action, "the sign-in form")?;
    for _ in 0..MAX_REDIRECTS {
        if next.as_str().starts_with(REDIRECT_URI) {
            return exchange(connection, target, client, &next).await;
        }
        let answer = browser.get(connection, target, &path_of(&next)).await?;
        next = redirect(&answer, &next, next.path())?;
    }
    Err(Failure::from(anyhow!(
        "more than {MAX_REDIRECTS} redirects"
    )))
}

impl Browser {
    /// Opens the sign-in page of `client`.
    pub async fn open(
        &mut self,
        connection: &mut Connection,
        target: &Target,
        client: Client,
    ) -> Result<Form, Failure> {
        let path = Target::authorize(client);
        let answer = self.get(connection, target, &path).await?;
        if answer.status != 200 {
            return Err(Failure::unexpected("GET auth", &answer));
        }
        let page = Url::parse(&format!("{}{path}", target.origin)).context("the page's URL")?;
        Ok(sign_in_form(&answer, &page)?)
    }

    /// Opens the page with the sign-in form that an answer led to.
    pub async fn page(
        &mut self,
        connection: &mut Connection,
        target: &Target,
        page: &Url,
    ) -> Result<Form, Failure> {
        let answer = self.get(connection, target, &path_of(page)).await?;
        if answer.status != 200 {
            return Err(Failure::unexpected("GET authenticate", &answer));
        }
        Ok(sign_in_form(&answer, page)?)
    }

    /// Posts the sign-in form.
    pub async fn submit<'c>(
        &mut self,
        connection: &'c mut Connection,
        target: &Target,
        form: &Form,
        username: &str,
        password: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer<'c>> {
        let mut fields: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        fields.extend([("username", username), ("password", password)]);
        let cookies = self.header();
        let mut all = vec![("Origin", &*target.origin), ("Cookie", &*cookies)];
        all.extend_from_slice(headers);
        let bytes = post_form(&target.host, &path_of(&form.action), &all, &fields);
        let answer = connection.send(&bytes).await?;
        self.keep(&answer);
        Ok(answer)
    }

    async fn get<'c>(
        &mut self,
        connection: &'c mut Connection,
        target: &Target,
        path: &str,
    ) -> Result<Answer<'c>> {
        let cookies = self.header();
        let headers: &[(&str, &str)] = if cookies.is_empty() {
            &[]
        } else {
            &[("Cookie", &cookies)]
        };
        let answer = connection
            .send(&request("GET", &target.host, path, headers, b""))
            .await?;
        self.keep(&answer);
        Ok(answer)
    }

    /// The value of the `Cookie` header.
    fn header(&self) -> String {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// Takes the cookies that an answer sets; an empty value removes one.
    fn keep(&mut self, answer: &Answer<'_>) {
        for line in answer.headers("set-cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            self.cookies.retain(|(kept, _)| kept != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

/// Redeems the code that the client was sent.
async fn exchange(
    connection: &mut Connection,
    target: &Target,
    client: Client,
    landed: &Url,
) -> Result<Tokens, Failure> {
    let code = landed.query_pairs().find(|(name, _)| name == "code");
    let (_, code) = code.with_context(|| format!("no code in {landed}"))?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", CODE_VERIFIER),
    ];
    let answer = connection
        .send(&target.post_as(client, "token", &fields))
        .await?;
    if answer.status != 200 {
        return Err(Failure::unexpected(
            "POST token (authorization_code)",
            &answer,
        ));
    }
    Ok(serde_json::from_slice(answer.body).context("the token endpoint's answer")?)
}

/// Where an answer leads, which has to be a redirect.
pub fn redirect(answer: &Answer<'_>, base: &Url, what: &str) -> Result<Url, Failure> {
    let location = answer.headers("location").pop();
    match location {
        Some(location) if matches!(answer.status, 302 | 303) => Ok(base
            .join(&location)
            .with_context(|| format!("Location {location}"))?),
        _ => Err(Failure::unexpected(what, answer)),
    }
}

/// Path and query, as a request line has them.
fn path_of(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// Finds the form that asks for a password, with its hidden fields and its button `login`.
fn sign_in_form(answer: &Answer<'_>, page: &Url) -> Result<Form> {
    let html = Html::parse_document(&String::from_utf8_lossy(answer.body));
    let form = html
        .select(&selector("form")?)
        .find(|form| fields_of(*form).is_ok_and(|fields| fields.iter().any(is_password)))
        .with_context(|| format!("no sign-in form on the page: {}", answer.excerpt()))?;
    // An action that is absent or empty means the page itself; join keeps that.
    let action = page.join(form.value().attr("action").unwrap_or_default())?;
    let sent = |field: &Field| field.kind == "hidden" || field.name == "login";
    let fields = fields_of(form)?.into_iter().filter(sent);
    Ok(Form {
        action,
        fields: fields.map(|field| (field.name, field.value)).collect(),
    })
}

struct Field {
    name: String,
    kind: String,
    value: String,
}

fn is_password(field: &Field) -> bool {
    field.name == "password"
}

/// The named controls of a form.
fn fields_of(form: ElementRef<'_>) -> Result<Vec<Field>> {
    let controls = selector("input[name], button[name]")?;
    let attribute = |control: ElementRef<'_>, name: &str| {
        control.value().attr(name).unwrap_or_default().to_owned()
    };
    let field = |control| Field {
        name: attribute(control, "name"),
        kind: attribute(control, "type"),
        value: attribute(control, "value"),
    };
    Ok(form.select(&controls).map(field).collect())
}

fn selector(text: &str) -> Result<Selector> {
    Selector::parse(text).map_err(|error| anyhow!("selector {text}: {error}"))
}
