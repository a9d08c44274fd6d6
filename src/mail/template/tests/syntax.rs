//! What templates can say, and that everything else is refused by its name and line.

use super::super::syntax::{Wrong, pieces, tree};
use super::super::value::Class;
use super::{LIMIT_MS, cases};

/// Templates, and a part of what is said about each.
const REFUSED: &str = r###"
{{ get_env(name="X") }} ⇒ `get_env(name="X")`
{{ range(end=9) }} ⇒ `range(end=9)`
{{ now() }} ⇒ `now()`
{{ throw(message="x") }} ⇒ `throw
{{ get_random(start=0, end=9) }} ⇒ `get_random
{{ realm | safe }} ⇒ filter `safe`
{{ realm|upper|safe }} ⇒ filter `safe`
{{ realm | escape }} ⇒ filter `escape`
{{ realm | get_env }} ⇒ filter `get_env`
{{ realm | replace(from="a", to="b") }} ⇒ filter `replace
{{ realm | truncate(length=2) }} ⇒ filter `truncate
{{ realm | }} ⇒ filter ``
{{ link | lower }} ⇒ filter can be used on link
{{ code | upper }} ⇒ filter can be used on code
{{ message | trim }} ⇒ filter can be used on message
{{ __tera_context }} ⇒ no value `__tera_context`
{{ secret }} ⇒ no value `secret`
{{ when }} ⇒ no value `when`
{{ realm.name }} ⇒ `realm.name`
{{ realm[0] }} ⇒ `realm[0]`
{{ "a" }} ⇒ `"a"`
{{ 7 * 7 }} ⇒ `7 * 7`
{{ realm ~ app }} ⇒ `realm ~ app`
{{ self::m() }} ⇒ `self::m()`
{{ }} ⇒ ``
{% include "base.html" %} ⇒ tag `include
{% extends "base.html" %} ⇒ tag `extends
{% import "m.html" as m %} ⇒ tag `import
{% macro m() %}{% endmacro %} ⇒ tag `macro
{% for a in b %}{% endfor %} ⇒ tag `for
{% set a = 1 %} ⇒ tag `set
{% set_global a = 1 %} ⇒ tag `set_global
{% filter upper %}{% endfilter %} ⇒ tag `filter
{% raw %}{% endraw %} ⇒ tag `raw`
{% block b %}{% endblock %} ⇒ tag `block
{% break %} ⇒ tag `break`
{% continue %} ⇒ tag `continue`
{%- if realm == app %}{% endif %} ⇒ cannot hold `==`
{% if realm is defined %}{% endif %} ⇒ cannot hold `is`
{% if realm | length %}{% endif %} ⇒ cannot hold `|`
{% if (realm) %}{% endif %} ⇒ `(realm)`
{% if get_env(name="X") %}{% endif %} ⇒ `get_env(name="X")`
{% if not %}{% endif %} ⇒ condition is missing
{% if app and %}{% endif %} ⇒ condition is missing
{% if true %}{% endif %} ⇒ no value `true`
{% else %} ⇒ no {% if
{% endif %} ⇒ no {% if
{% elif app %} ⇒ no {% if
{% if app %} ⇒ no {% endif %}
{% if app %}{% else %}{% else %}{% endif %} ⇒ two {% else %}
{% if app %}{% else %}{% elif app %}{% endif %} ⇒ after {% else %}
{% if app %}{% else app %}{% endif %} ⇒ `app`
{##} ⇒ comment says nothing
{#-#} ⇒ comment says nothing
{{ realm ⇒ no }}
{% if app ⇒ no %}
{# never ⇒ no #}
"###;

fn refused(source: &str) -> Wrong {
    let read = pieces(source, Class::Link).and_then(tree);
    read.expect_err(source)
}

#[test]
fn what_is_no_value_filter_or_condition_is_refused_by_name() {
    let cases = cases(REFUSED);
    assert!(cases.len() > 50, "{}", cases.len());
    for (source, named) in cases {
        let (line, reason) = refused(source);
        assert_eq!(line, 1, "{source}");
        assert!(reason.contains(named), "{source}: {reason}");
    }
}

#[test]
fn a_refusal_names_the_line() {
    let source = "a\n{# b\nc #}\n{%- if app -%}\n\n  x {{ realm\n }}\n{{ nothing }}{% endif %}";
    assert_eq!(refused(source).0, 8);
    assert_eq!(
        refused("\n\n{% if app %}\n{% if realm %}\n{% endif %}").0,
        3
    );
    let lines: Vec<usize> = pieces("{{ realm -}}\n\n a\n{{ app }}", Class::Link)
        .unwrap()
        .iter()
        .map(|placed| placed.line)
        .collect();
    assert_eq!(lines, [1, 3, 4]);
}

#[test]
fn conditions_stand_no_deeper_than_the_limit() {
    let nested = |depth: usize| "{% if app %}".repeat(depth) + &"{% endif %}".repeat(depth);
    assert!(pieces(&nested(8), Class::Link).and_then(tree).is_ok());
    for depth in [9, 5_000] {
        assert!(refused(&nested(depth)).1.contains("8 deep"));
    }
}

#[test]
fn ten_thousand_conditions_take_no_time() {
    let flat = "{%if app%}{{app}}{%endif%}".repeat(10_000);
    let ladder = format!(
        "{{% if app %}}{}{{% endif %}}",
        "{%elif app%}".repeat(10_000)
    );
    let braces = "{ ".repeat(30_000);
    for source in [flat, ladder, braces] {
        // The fastest of three: other tests run beside this one.
        let took = (0..3).map(|_| {
            let began = std::time::Instant::now();
            assert!(pieces(&source, Class::Link).and_then(tree).is_ok());
            began.elapsed().as_millis()
        });
        let took = took.min().unwrap();
        assert!(took < LIMIT_MS, "{took} ms for {} bytes", source.len());
    }
}
