//! What the HTML part may be, and that everything that is fetched or run is refused by its name and line (H033).

use super::super::html::{check, css};
use super::super::syntax::{Wrong, pieces};
use super::super::value::Class;
use super::{LIMIT_MS, cases};

/// Templates, and a part of what is said about each.
const REFUSED: &str = r###"
<img src="https://evil.example/x.png"> ⇒ <img>
<IMG SRC=x> ⇒ <img>
<p src="x"> ⇒ src of <p>
<td background="https://evil.example"> ⇒ background of <td>
<p srcset='x 1x'> ⇒ srcset of <p>
<p style="background:url(https://evil.example)"> ⇒ `url(`
<p style="background:URL(x)"> ⇒ `url(`
<p style="background:u\72l(x)"> ⇒ no \
<p style="background:&#117;rl(x)"> ⇒ cannot hold &
<p style="background:ur/**/l(x)"> ⇒ `l(`
<p style="background:image-set('x' 1x)"> ⇒ `image-set(`
<p style="width:expression(alert(1))"> ⇒ `expression(`
<style>@import 'https://evil.example';</style> ⇒ `@import`
<style>@font-face{}</style> ⇒ `@font-face`
<style>p{background:url(x)}</style> ⇒ `url(`
<style>p{}<!--</style> ⇒ no <
<style>p{color:{{ realm }}}</style> ⇒ no value
<style>p{} ⇒ no </style>
<style>p{}<b></style> ⇒ no < before </style>
<link rel="stylesheet" href="https://evil.example"> ⇒ <link>
<script>alert(1)</script> ⇒ <script>
<iframe> ⇒ <iframe>
<object data='x'> ⇒ <object>
<embed> ⇒ <embed>
<form action='x'> ⇒ <form>
<input> ⇒ <input>
<button> ⇒ <button>
<svg> ⇒ <svg>
<math> ⇒ <math>
<video> ⇒ <video>
<audio> ⇒ <audio>
<base href='https://evil.example'> ⇒ <base>
<template> ⇒ <template>
<noscript> ⇒ <noscript>
<meta http-equiv="refresh" content="0"> ⇒ http-equiv of <meta>
<meta charset="utf-7"> ⇒ utf-8
<p onclick="x()"> ⇒ onclick of <p> is not allowed: it would run a script
<body onload='x()'> ⇒ onload of <body>
<a ping="https://evil.example" href="tel:1">x</a> ⇒ ping of <a>
<a href="javascript:alert(1)">x</a> ⇒ begins with one of
<a href="java&#115;cript:alert(1)">x</a> ⇒ begins with one of
<a href=" javascript:alert(1)">x</a> ⇒ begins with one of
<a href="data:text/html,x">x</a> ⇒ begins with one of
<a href="//evil.example">x</a> ⇒ begins with one of
<a href="https://evil.example/?{{ link }}">x</a> ⇒ the whole of
<a href="{{ link }}{{ link }}">x</a> ⇒ the whole of
<a href="{{ realm }}">x</a> ⇒ the whole of
<a href={{ link }}>x</a> ⇒ is written href=
<a href="{% if app %}{{ link }}{% endif %}">x</a> ⇒ the whole of
<a href="tel:1" href="{{ link }}">x</a> ⇒ twice
<p title="{{ realm }}"> ⇒ no other attribute
<p style="{{ realm }}"> ⇒ no other attribute
<p {{ realm }}> ⇒ no attribute
<p {% if app %}class='x'{% endif %}> ⇒ no attribute
<p class='a'id='b'> ⇒ no attribute
<{{ realm }}> ⇒ &lt;
<p ⇒ no > at its end
<p class="x ⇒ no " at its end
<!-- x --> ⇒ {# … #}
<!--[if mso]><img><![endif]--> ⇒ {# … #}
<![CDATA[x]]> ⇒ <!DOCTYPE html>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0"> ⇒ <!DOCTYPE html>
<?xml version='1.0'?> ⇒ &lt;
</script> ⇒ ends no element
</p class> ⇒ ends no element
1 < 2 ⇒ &lt;
<title><b></title> ⇒ no <
<title>{% if app %}x{% endif %}</title> ⇒ <title> can hold
<title>{{ link }}</title> ⇒ <title> can hold
<title> ⇒ no </title>
<a href="{{ link }}"></a> ⇒ nothing to press
<a href="{{ link }}">{% if app %}x{% endif %}</a> ⇒ nothing to press
<a href="{{ link }}">{{ app }}</a> ⇒ nothing to press
<a href="{{ link }}">x ⇒ no </a>
<a href='tel:1'><a href="{{ link }}">x</a> ⇒ in another
x</a> ⇒ no <a>
"###;

/// Templates, and whether they hold the link in every case. `⏎` is the end of a line.
const ALLOWED: &str = r###"
<!doctype html><p>{{ realm }} &amp; {{ message }}</p> ⇒ false
<html lang="{{ lang }}" dir='{{ dir }}'><title>{{ title }}</title> ⇒ false
<style>@media (prefers-color-scheme: dark) { p { color: rgb(1, 2, 3) } }</style> ⇒ false
<TABLE ROLE="presentation" cellpadding='0'><TR><TD NOWRAP>x</TD></TR></TABLE><br/> ⇒ false
<a href="{{ link }}" target="_blank">{{ button }}</a> ⇒ true
<a href='{{ link }}'⏎><b>x</b></a⏎> ⇒ true
<a href="https://school.example/help?a=1&b=2">x</a><a href="{{ sign_in }}">y</a> ⇒ false
{% if app %}<a href="{{ link }}">x</a>{% endif %} ⇒ false
{% if app %}x{% endif %}<a href="{{ link }}">x</a> ⇒ true
{{ link }} {{ code }} ⇒ false
2 > 1 & "so" }} %} on ⇒ false
"###;

fn checked(source: &str) -> Result<bool, Wrong> {
    check(&pieces(source, Class::Link).unwrap())
}

#[test]
fn whatever_is_fetched_or_run_is_refused_by_name() {
    let cases = cases(REFUSED);
    assert!(cases.len() > 70, "{}", cases.len());
    for (source, named) in cases {
        let (line, reason) = checked(&format!("\n{source}")).expect_err(source);
        assert!(reason.contains(named), "{source}: {reason}");
        assert_eq!(line, 2, "{source}: {reason}");
    }
}

#[test]
fn what_mails_are_made_of_is_allowed() {
    for (source, has_link) in cases(ALLOWED) {
        let source = source.replace('⏎', "\n");
        assert_eq!(checked(&source), Ok(has_link == "true"), "{source}");
    }
}

#[test]
fn the_built_in_styles_could_be_a_realms_own() {
    let base = include_str!("../../../../templates/mail/base.html");
    let styles = base.split("<style>").nth(1).unwrap();
    assert_eq!(css(styles.split("</style>").next().unwrap()), Ok(()));
}

#[test]
fn the_slowest_parts_take_no_time() {
    for piece in [
        "<p>",
        "<title></title>",
        "<style></style>",
        "<p class='a'>",
        "<a href='tel:1'>x</a>",
        "<p style='color:rgb(1,2,3)'>",
        "<br aria-a aria-b aria-c>",
        "{{realm}}",
        "&lt;",
    ] {
        let source = piece.repeat(64 * 1024 / piece.len());
        let took = (0..3).map(|_| {
            let began = std::time::Instant::now();
            assert!(checked(&source).is_ok(), "{piece}");
            began.elapsed().as_millis()
        });
        let took = took.min().unwrap();
        assert!(took < LIMIT_MS, "{took} ms for {piece}");
    }
    // An element with more attributes than any has.
    let many: String = (0..5_000).map(|n| format!(" aria-a{n}")).collect();
    assert!(checked(&format!("<p{many}>")).unwrap_err().1.contains("32"));
}
