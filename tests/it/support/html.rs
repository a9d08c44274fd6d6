//! A page as a browser with scripts off understands it: its forms, what they would send, and what
//! a screen reader would find missing.
//!
//! Called by the test browser and by the tests of pages. Everything is read once; a [`Page`] is
//! plain data.

use scraper::{ElementRef, Html, Selector};
use url::Url;

/// A parsed HTML page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it was answered; actions of its forms are resolved against it.
    pub url: Url,
    /// `<meta name="vestibule-page">`, the name of the page in any language.
    pub marker: Option<String>,
    pub title: String,
    /// `<html lang>`.
    pub lang: Option<String>,
    /// What a person reads, white space folded.
    pub text: String,
    pub forms: Vec<Form>,
    source: String,
}

/// A `<form>` with the controls that belong to it, also those outside tied by `form="id"`.
#[derive(Clone, Debug)]
pub struct Form {
    pub id: Option<String>,
    /// `get` or `post`.
    pub method: String,
    pub action: Url,
    pub fields: Vec<Field>,
    pub submits: Vec<Submit>,
}

/// A control that a person fills in, or a hidden one.
#[derive(Clone, Debug, Default)]
pub struct Field {
    pub name: String,
    pub id: Option<String>,
    /// The `type` of an input, else `select` or `textarea`.
    pub kind: String,
    pub value: String,
    /// Whether a checkbox or radio button is ticked.
    pub checked: bool,
    pub required: bool,
    pub disabled: bool,
    pub autocomplete: Option<String>,
    /// The text of the label tied to it (`for`, wrapping, `aria-label` or `aria-labelledby`).
    pub label: Option<String>,
    /// The text that `aria-describedby` points to: a hint or what was wrong with the input.
    pub description: Option<String>,
    /// The values that a `select` offers.
    pub options: Vec<String>,
}

/// A button that sends its form.
#[derive(Clone, Debug)]
pub struct Submit {
    pub name: Option<String>,
    pub value: String,
    pub label: String,
}

impl Page {
    /// Reads `source`, which was answered at `url`.
    pub fn parse(url: &Url, source: &str) -> Self {
        let html = Html::parse_document(source);
        let base = first(&html, "base[href]")
            .and_then(|base| url.join(base.attr("href")?).ok())
            .unwrap_or_else(|| url.clone());
        Self {
            url: url.clone(),
            marker: first(&html, "meta[name=vestibule-page]")
                .and_then(|meta| attribute(meta, "content")),
            title: first(&html, "head > title")
                .map(text_of)
                .unwrap_or_default(),
            lang: first(&html, "html").and_then(|root| attribute(root, "lang")),
            text: first(&html, "body").map(text_of).unwrap_or_default(),
            forms: all(&html, "form")
                .map(|form| Form::read(&html, form, &base))
                .collect(),
            source: source.to_owned(),
        }
    }

    /// The one form that has a field or a button called `control`.
    pub fn form_with(&self, control: &str) -> &Form {
        let holds = |form: &&Form| {
            form.field(control).is_some()
                || form
                    .submits
                    .iter()
                    .any(|submit| submit.name.as_deref() == Some(control))
        };
        let mut forms = self.forms.iter().filter(holds);
        match (forms.next(), forms.next()) {
            (Some(form), None) => form,
            (None, _) => panic!("no form holds {control:?} on {self}"),
            (Some(_), Some(_)) => panic!("several forms hold {control:?} on {self}"),
        }
    }

    /// The form of a page that has exactly one.
    pub fn only_form(&self) -> &Form {
        match self.forms.as_slice() {
            [form] => form,
            forms => panic!("{} forms instead of one on {self}", forms.len()),
        }
    }

    /// The texts of all elements that `css` selects.
    pub fn texts(&self, css: &str) -> Vec<String> {
        all(&Html::parse_document(&self.source), css)
            .map(text_of)
            .collect()
    }

    /// The addresses of all links, resolved.
    pub fn links(&self) -> Vec<Url> {
        all(&Html::parse_document(&self.source), "a[href]")
            .filter_map(|link| self.url.join(link.attr("href")?).ok())
            .collect()
    }

    /// What a person who cannot see the page, or cannot use a mouse, would be missing. Empty for a
    /// good page; each entry is a sentence.
    pub fn accessibility_faults(&self) -> Vec<String> {
        let html = Html::parse_document(&self.source);
        let mut faults = Vec::new();
        let mut fault = |holds: bool, sentence: String| {
            if holds {
                faults.push(sentence);
            }
        };
        fault(
            self.lang.as_deref().is_none_or(str::is_empty),
            "the page names no language".into(),
        );
        fault(self.title.is_empty(), "the page has no title".into());
        fault(
            all(&html, "meta[name=viewport]")
                .filter_map(|meta| meta.attr("content"))
                .any(|content| {
                    content.contains("user-scalable=no") || content.contains("maximum-scale")
                }),
            "the page forbids zooming".into(),
        );
        let headings = all(&html, "h1").count();
        fault(
            headings != 1,
            format!("the page has {headings} first-level headings"),
        );
        fault(
            all(&html, "main").count() != 1,
            "the page has not one main region".into(),
        );
        fault(
            all(&html, "[autofocus]").count() > 1,
            "several controls ask for the focus".into(),
        );

        let mut ids: Vec<&str> = html
            .select(&selector("[id]"))
            .filter_map(|element| element.attr("id"))
            .collect();
        ids.sort_unstable();
        for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
            fault(true, format!("the id {:?} is used twice", pair[0]));
        }
        for name in [
            "for",
            "aria-labelledby",
            "aria-describedby",
            "aria-errormessage",
            "form",
        ] {
            for element in all(&html, &format!("[{name}]")) {
                for id in element.attr(name).unwrap_or_default().split_whitespace() {
                    fault(
                        ids.binary_search(&id).is_err(),
                        format!("{name}={id:?} points to nothing"),
                    );
                }
            }
        }
        for element in all(&html, "input, select, textarea") {
            let kind = kind_of(element);
            let needs_none = ["hidden", "submit", "button", "reset", "image"];
            fault(
                !needs_none.contains(&kind.as_str()) && label_of(&html, element).is_none(),
                format!(
                    "the {kind} field {:?} has no label",
                    element.attr("name").unwrap_or("")
                ),
            );
        }
        for element in all(&html, "button, a[href], input[type=submit]") {
            fault(
                name_of(&html, element).is_empty(),
                format!("{} says nothing", element.html()),
            );
        }
        for element in all(&html, "img:not([alt])") {
            fault(true, format!("{} has no text instead", element.html()));
        }
        for element in all(&html, "[tabindex]") {
            let index = element
                .attr("tabindex")
                .and_then(|index| index.parse::<i32>().ok());
            fault(
                index.is_none_or(|index| index > 0),
                format!("{} changes the order of the Tab key", element.html()),
            );
        }
        faults
    }
}

impl std::fmt::Display for Page {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let marker = self.marker.as_deref().unwrap_or("unmarked");
        write!(formatter, "{} ({marker}): {}", self.url, self.text)
    }
}

impl Form {
    fn read(html: &Html, form: ElementRef<'_>, base: &Url) -> Self {
        let id = attribute(form, "id");
        let mut fields = Vec::new();
        let mut submits = Vec::new();
        for control in all(html, "input, select, textarea, button") {
            let belongs = match control.attr("form") {
                Some(owner) => id.as_deref() == Some(owner),
                None => control
                    .ancestors()
                    .any(|ancestor| ancestor.id() == form.id()),
            };
            if !belongs {
                continue;
            }
            match (control.value().name(), kind_of(control).as_str()) {
                ("button" | "input", "submit" | "image") => submits.push(Submit {
                    name: attribute(control, "name"),
                    value: attribute(control, "value").unwrap_or_default(),
                    label: name_of(html, control),
                }),
                ("button", _) | ("input", "button" | "reset") => {}
                _ => fields.push(Field::read(html, control)),
            }
        }
        let action = form
            .attr("action")
            .filter(|action| !action.is_empty())
            .unwrap_or(base.as_str());
        Self {
            id,
            method: form.attr("method").unwrap_or("get").to_ascii_lowercase(),
            action: base
                .join(action)
                .unwrap_or_else(|error| panic!("action {action:?}: {error}")),
            fields,
            submits,
        }
    }

    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The value of the hidden field called `name`.
    pub fn hidden(&self, name: &str) -> Option<&str> {
        let field = self.field(name).filter(|field| field.kind == "hidden")?;
        Some(&field.value)
    }

    /// Puts `value` into the field `name`; `on` and `` tick and untick a checkbox, and a radio
    /// button is chosen by its value. A name that the form does not have fails the test.
    pub fn fill(&mut self, name: &str, value: &str) -> &mut Self {
        let mut found = false;
        for field in self.fields.iter_mut().filter(|field| field.name == name) {
            found = true;
            match field.kind.as_str() {
                "checkbox" => field.checked = !value.is_empty(),
                "radio" => field.checked = field.value == value,
                "select" => {
                    assert!(
                        field.options.iter().any(|option| option == value),
                        "{name} offers no {value:?}"
                    );
                    value.clone_into(&mut field.value);
                }
                _ => value.clone_into(&mut field.value),
            }
        }
        assert!(found, "no field {name:?} in the form {}", self.action);
        self
    }

    /// The pairs a browser sends when the button called `submit` is pressed, or for `None` the
    /// form's first button.
    pub fn pairs(&self, submit: Option<&str>) -> Vec<(String, String)> {
        let mut pairs: Vec<_> = self
            .fields
            .iter()
            .filter(|field| !field.disabled && !field.name.is_empty())
            .filter(|field| !matches!(field.kind.as_str(), "checkbox" | "radio") || field.checked)
            .map(|field| (field.name.clone(), field.value.clone()))
            .collect();
        let pressed = match submit {
            None => self.submits.first(),
            Some(name) => {
                let found = self
                    .submits
                    .iter()
                    .find(|button| button.name.as_deref() == Some(name));
                assert!(
                    found.is_some(),
                    "no button {name:?} in the form {}",
                    self.action
                );
                found
            }
        };
        if let Some((Some(name), value)) =
            pressed.map(|button| (button.name.clone(), &button.value))
        {
            pairs.push((name, value.clone()));
        }
        pairs
    }
}

impl Field {
    fn read(html: &Html, control: ElementRef<'_>) -> Self {
        let kind = kind_of(control);
        let chosen = control.select(&selector("option[selected]")).next();
        let chosen = chosen.or_else(|| control.select(&selector("option")).next());
        let value = match kind.as_str() {
            "select" => chosen.map(option_value).unwrap_or_default(),
            "textarea" => control.text().collect(),
            "checkbox" | "radio" => attribute(control, "value").unwrap_or_else(|| "on".into()),
            _ => attribute(control, "value").unwrap_or_default(),
        };
        Self {
            name: attribute(control, "name").unwrap_or_default(),
            id: attribute(control, "id"),
            value,
            checked: control.attr("checked").is_some(),
            required: control.attr("required").is_some(),
            disabled: control.attr("disabled").is_some(),
            autocomplete: attribute(control, "autocomplete"),
            label: label_of(html, control),
            description: control
                .attr("aria-describedby")
                .map(|ids| texts_of_ids(html, ids)),
            options: control
                .select(&selector("option"))
                .map(option_value)
                .collect(),
            kind,
        }
    }
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).unwrap_or_else(|error| panic!("the selector {css:?}: {error}"))
}

fn all<'a>(html: &'a Html, css: &str) -> impl Iterator<Item = ElementRef<'a>> {
    html.select(&selector(css)).collect::<Vec<_>>().into_iter()
}

fn first<'a>(html: &'a Html, css: &str) -> Option<ElementRef<'a>> {
    all(html, css).next()
}

fn attribute(element: ElementRef<'_>, name: &str) -> Option<String> {
    element.attr(name).map(str::to_owned)
}

fn text_of(element: ElementRef<'_>) -> String {
    let mut words = Vec::new();
    for node in element.descendants() {
        let parent = node.parent().and_then(ElementRef::wrap);
        let unseen =
            parent.is_some_and(|parent| matches!(parent.value().name(), "script" | "style"));
        if let Some(text) = node.value().as_text().filter(|_| !unseen) {
            words.extend(text.split_whitespace());
        }
    }
    words.join(" ")
}

fn texts_of_ids(html: &Html, ids: &str) -> String {
    let named = |id: &str| all(html, "[id]").find(|element| element.attr("id") == Some(id));
    let texts = ids.split_whitespace().filter_map(named).map(text_of);
    texts.collect::<Vec<_>>().join(" ")
}

fn option_value(option: ElementRef<'_>) -> String {
    attribute(option, "value").unwrap_or_else(|| text_of(option))
}

fn kind_of(control: ElementRef<'_>) -> String {
    match control.value().name() {
        "input" => control.attr("type").unwrap_or("text").to_ascii_lowercase(),
        "button" => control
            .attr("type")
            .unwrap_or("submit")
            .to_ascii_lowercase(),
        other => other.to_owned(),
    }
}

/// The label of a field, by the ways that assistive technology knows, in its order.
fn label_of(html: &Html, control: ElementRef<'_>) -> Option<String> {
    let by_ids = control
        .attr("aria-labelledby")
        .map(|ids| texts_of_ids(html, ids));
    let by_attribute = attribute(control, "aria-label");
    let id = control.attr("id");
    let by_for = || {
        all(html, "label[for]")
            .find(|label| id.is_some() && label.attr("for") == id)
            .map(text_of)
    };
    let wrapping = || {
        let mut ancestors = control.ancestors().filter_map(ElementRef::wrap);
        ancestors
            .find(|ancestor| ancestor.value().name() == "label")
            .map(text_of)
    };
    let label = by_ids.or(by_attribute).or_else(by_for).or_else(wrapping);
    label.filter(|text| !text.trim().is_empty())
}

/// What a button or link is called.
fn name_of(html: &Html, element: ElementRef<'_>) -> String {
    let alternatives: Vec<_> = element
        .select(&selector("img[alt]"))
        .filter_map(|image| image.attr("alt"))
        .collect();
    label_of(html, element)
        .or_else(|| Some(text_of(element)).filter(|text| !text.is_empty()))
        .or_else(|| Some(alternatives.join(" ")).filter(|text| !text.is_empty()))
        .or_else(|| attribute(element, "value"))
        .unwrap_or_default()
}
