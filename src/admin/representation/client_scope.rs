//! `ClientScopeRepresentation` and `ProtocolMapperRepresentation`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::admin::error::AdminError;
use crate::admin::json::{self, Shape};
use crate::scope::{ClientScope, Mapper};

/// The fields of a protocol mapper.
pub const MAPPER: Shape = Shape {
    name: "ProtocolMapperRepresentation",
    texts: &["id", "name", "protocol", "protocolMapper", "consentText"],
    flags: &["consentRequired"],
    numbers: &[],
    lists: &[],
    other: &["config"],
};

/// A protocol mapper as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapperRepresentation<'a> {
    id: &'a str,
    name: &'a str,
    protocol: &'a str,
    protocol_mapper: &'a str,
    consent_required: bool,
    config: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a Mapper> for MapperRepresentation<'a> {
    fn from(mapper: &'a Mapper) -> Self {
        Self {
            id: &mapper.id,
            name: &mapper.name,
            protocol: &mapper.protocol,
            protocol_mapper: &mapper.protocol_mapper,
            consent_required: false,
            config: &mapper.config,
        }
    }
}

/// A client scope as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientScopeRepresentation<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    protocol: &'a str,
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protocol_mappers: Vec<MapperRepresentation<'a>>,
}

impl<'a> From<&'a ClientScope> for ClientScopeRepresentation<'a> {
    fn from(scope: &'a ClientScope) -> Self {
        Self {
            id: scope.id.as_str(),
            name: &scope.name,
            description: scope.description.as_deref(),
            protocol: &scope.protocol,
            attributes: &scope.attributes,
            protocol_mappers: scope.mappers.iter().map(Into::into).collect(),
        }
    }
}

/// Reads a list of protocol mappers; `id_for` names each, knowing the id it was sent with.
///
/// # Errors
/// It is no list of mappers, or one has no name or kind.
pub fn read_mappers(
    sent: Value,
    mut id_for: impl FnMut(Option<&str>) -> String,
) -> Result<Vec<Mapper>, AdminError> {
    let Value::Array(list) = sent else {
        return Err(AdminError::wrong_type("protocolMappers"));
    };
    list.into_iter()
        .map(|one| {
            let fields = MAPPER.read(one)?;
            let text = |name: &str| fields.get(name).and_then(json::text);
            let missing = || AdminError::invalid_input("A protocol mapper needs a name and a type");
            let mut config = BTreeMap::new();
            if let Some(settings) = fields.get("config") {
                let settings = settings
                    .as_object()
                    .ok_or_else(|| AdminError::wrong_type("config"))?;
                for (name, value) in settings.iter().filter(|(_, value)| !value.is_null()) {
                    let value = json::text(value).ok_or_else(|| AdminError::wrong_type(name))?;
                    config.insert(name.clone(), value);
                }
            }
            Ok(Mapper {
                id: id_for(text("id").as_deref()),
                name: text("name").ok_or_else(missing)?,
                protocol: text("protocol").unwrap_or_else(|| "openid-connect".to_owned()),
                protocol_mapper: text("protocolMapper").ok_or_else(missing)?,
                config,
            })
        })
        .collect()
}
