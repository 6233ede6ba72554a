//! The JSON Schema of guest configurations in TOML, for editors: made from the table of keys.

use super::keys::{Item, ItemForm, KEYS, Key, Shape, Status, VSND};
use serde_json::{Map, Value, json};

/// The schema of a whole configuration.
pub(crate) fn guest() -> Value {
    let properties: Map<String, Value> = KEYS.iter().map(|key| (key.name.to_string(), of_key(key))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Xen guest configuration",
        "description": "The keys of xl.cfg(5) in TOML",
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": false,
    })
}

/// The schema of one key's value.
pub(crate) fn of_key(key: &Key) -> Value {
    let mut schema = of_shape(key.shape);
    let only = key.guests.names().map_or_else(String::new, |guests| format!(" ({guests} guests only)"));
    let later = if key.status == Status::Later { " (without effect on Xen 4.17)" } else { "" };
    schema["description"] = format!("{}{only}{later}", key.about).into();
    if key.status == Status::Deprecated {
        schema["deprecated"] = true.into();
    }
    schema
}

fn of_shape(shape: Shape) -> Value {
    match shape {
        Shape::Bool => json!({ "anyOf": [{ "type": "boolean" }, { "enum": [0, 1] }] }),
        Shape::Word => json!({ "type": "boolean" }),
        Shape::Integer => json!({ "type": "integer" }),
        Shape::IntegerOrChoice(names) => json!({ "anyOf": [{ "enum": names }, { "type": "integer" }] }),
        Shape::Joined(_) => {
            let one = json!({ "type": ["string", "integer"] });
            json!({ "anyOf": [one, list(one)] })
        }
        Shape::String => json!({ "type": "string" }),
        Shape::Choice(names) => json!({ "enum": names }),
        Shape::Strings => list(json!({ "type": "string" })),
        Shape::Number => list(json!({ "type": "integer" })),
        Shape::StringsOrString => json!({ "anyOf": [{ "type": "string" }, list(json!({ "type": "string" }))] }),
        Shape::StringsOrBool => json!({ "anyOf": [{ "type": "boolean" }, list(json!({ "type": "string" }))] }),
        Shape::Items(item) => list(json!({ "anyOf": [of_item(item), as_in_xl_cfg(item.form)] })),
    }
}

fn of_item(item: Item) -> Value {
    match item.form {
        ItemForm::Cards => sound_card(),
        _ => table(item.keys.iter().copied()),
    }
}

/// xl.cfg's own form of an item, which may stand in place of a table.
fn as_in_xl_cfg(form: ItemForm) -> Value {
    match form {
        ItemForm::Pairs => json!({ "type": "string" }),
        ItemForm::List | ItemForm::Cards => list(json!({ "type": "string" })),
    }
}

fn list(item: Value) -> Value {
    json!({ "type": "array", "items": item })
}

fn table(keys: impl Iterator<Item = (&'static str, Shape)>) -> Value {
    let properties: Map<String, Value> = keys.map(|(name, shape)| (name.to_string(), of_shape(shape))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// A virtual sound card: its PCM devices and their streams are tables within it, and each of the three has the
/// parameters of samples.
fn sound_card() -> Value {
    const OF_CARD: [&str; 3] = ["backend", "short-name", "long-name"];
    const OF_PCM: [&str; 1] = ["name"];
    const OF_STREAM: [&str; 2] = ["unique-id", "type"];
    let is_shared = |name: &str| !OF_CARD.iter().chain(&OF_PCM).chain(&OF_STREAM).any(|own| *own == name);
    let part = |own: &[&str]| table(VSND.iter().copied().filter(|(name, _)| own.contains(name) || is_shared(name)));
    let (mut card, mut pcm) = (part(&OF_CARD), part(&OF_PCM));
    pcm["properties"]["stream"] = list(part(&OF_STREAM));
    card["properties"]["pcm"] = list(pcm);
    card
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described() {
        let schema = guest();
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties.len(), KEYS.len());
        assert_eq!(properties["builder"]["deprecated"], true);
        assert_eq!(properties["hdtype"]["enum"], json!(["ide", "ahci"]));
        assert_eq!(properties["hdtype"]["description"], "bus of emulated disks (HVM guests only)");
        assert!(properties.values().all(|key| key["description"].as_str().is_some_and(|about| !about.is_empty())));
    }

    #[test]
    fn devices_are_tables_with_their_own_keys() {
        let disk = &guest()["properties"]["disk"]["items"]["anyOf"][0];
        assert_eq!(disk["properties"]["format"]["enum"][1], "qcow");
        assert_eq!(disk["additionalProperties"], false);
    }

    #[test]
    fn sound_cards_are_nested() {
        let card = sound_card();
        let stream = &card["properties"]["pcm"]["items"]["properties"]["stream"]["items"]["properties"];
        assert!(stream.get("unique-id").is_some() && stream.get("buffer-size").is_some());
        assert!(stream.get("short-name").is_none() && card["properties"].get("name").is_none());
    }
}
