//! The tour, in a real browser against the real `vestibule demo` process: what a person with a temporary password
//! sees on the way into a third-party app that uses the openidconnect library.

mod account_address;
mod callbacks;
mod clicks;
mod harbour;
mod links;
mod mails;
mod not_me;
mod own_mails;
mod phones;
mod playground;
mod steps;
mod walks;
