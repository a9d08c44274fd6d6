//! How a file of people is to be imported, as the query string of `POST …/user-imports` says it. A parameter that there
//! is not, or one that says neither true nor false, is refused: a mistyped `dryRun` would import.

use std::sync::Arc;

use super::ask::Ask;
use super::call::Context;
use super::error::AdminError;
use super::powers::Powers;
use crate::import::{Format, IfExists, Options};
use crate::kernel::RoleId;

const PARAMETERS: [&str; 8] = [
    "format",
    "ifExists",
    "overwritePasswords",
    "dryRun",
    "requirePasswordReset",
    "preRegister",
    "allowSharedPasswords",
    "createMissing",
];

/// Reads them; `format` is what the headers say of the file.
///
/// # Errors
/// An unknown parameter or word, or something the caller may not.
pub(super) fn read(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    format: Option<Format>,
) -> Result<Options, AdminError> {
    ask.only(&PARAMETERS)?;
    let named = ask
        .text("format")
        .map(|text| {
            Format::parse(text).ok_or_else(|| {
                AdminError::Bad(format!(
                    "Unknown format {text:.32}: csv, ndjson, keycloak or auth0"
                ))
            })
        })
        .transpose()?;
    let if_exists = match ask.text("ifExists") {
        None => IfExists::Fail,
        Some(text) => IfExists::parse(text).ok_or_else(|| {
            AdminError::Bad(format!("Unknown ifExists {text:.32}: skip, update or fail"))
        })?,
    };
    let flag = |name: &str| Ok::<_, AdminError>(ask.switch(name)?.unwrap_or(false));
    let create_missing = flag("createMissing")?;
    if create_missing {
        // It makes roles too.
        context.require(&["manage-realm"])?;
    }
    let config = Arc::clone(&context.config);
    let mine = |id: &RoleId| Powers::closed(&config, [id]).within(&context.caller.powers);
    let roles = config
        .roles
        .iter()
        .map(|role| role.id.clone())
        .filter(mine)
        .collect();
    Ok(Options {
        format: named.or(format),
        dry_run: flag("dryRun")?,
        if_exists,
        require_password_reset: flag("requirePasswordReset")?,
        pre_register: flag("preRegister")?,
        allow_shared_passwords: flag("allowSharedPasswords")?,
        overwrite_passwords: if_exists
            .overwriting(flag("overwritePasswords")?)
            .map_err(|why| AdminError::Bad(why.into()))?,
        create_missing,
        roles: Some(roles),
    })
}
