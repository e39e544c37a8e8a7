//! The weight of anything that a prompt may be made of.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{IMAGE, IMAGE_LOW, lax::Text, tally::Tally};

/// Bytes of base64 for a token.
const BINARY: u64 = 64;

/// What was weighed, beside its tally.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// It is a list, and nothing in it is an object: texts or token ids.
    pub(super) flat: bool,
    /// How many texts and lists are in the list: prompts of their own.
    pub(super) entries: u64,
    /// It is an object.
    pub(super) object: bool,
    entry: bool,
    // Its tokens as an image, if it is one.
    image: Option<u64>,
}

/// What is known of a value from where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing.
    Plain,
    /// In it stand messages, items or tools: each has something around it.
    Items,
    /// A text here is a name that isn't shown to the model.
    Name,
    /// An image, by its address or as an object that has it.
    Image,
    /// A text here may be base64.
    Data,
}

/// Weighs any JSON value into a tally, down to the depth that serde_json allows.
pub(super) struct Weigh<'t, 'e> {
    place: Place,
    tally: &'t mut Tally<'e>,
}

impl<'t, 'e> Weigh<'t, 'e> {
    pub(super) const fn plain(tally: &'t mut Tally<'e>) -> Self {
        let place = Place::Plain;
        Self { place, tally }
    }

    pub(super) const fn items(tally: &'t mut Tally<'e>) -> Self {
        let place = Place::Items;
        Self { place, tally }
    }
}

impl<'de> DeserializeSeed<'de> for Weigh<'_, '_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Weigh<'_, '_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        let picture = self.place == Place::Image || text.starts_with("data:image/");
        let image = picture.then_some(IMAGE);
        match self.place {
            _ if picture => self.tally.guess(IMAGE),
            Place::Name => {}
            _ if text.starts_with("data:") => self.tally.guess(binary(text)),
            Place::Data if is_base64(text) => self.tally.guess(binary(text)),
            _ => self.tally.text(text),
        }
        Ok(Found {
            image,
            entry: true,
            ..Found::default()
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        self.tally.count(1);
        Ok(Found::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        self.tally.count(1);
        Ok(Found::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        self.tally.count(1);
        Ok(Found::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        self.tally.count(1);
        Ok(Found::default())
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        let mut sum = Found {
            flat: true,
            entry: true,
            ..Found::default()
        };
        while let Some(found) = seq.next_element_seed(Weigh::plain(self.tally))? {
            if found.object && self.place == Place::Items {
                self.tally.message();
            }
            sum.flat &= !found.object;
            sum.entries += u64::from(found.entry);
        }
        Ok(sum)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let tally = self.tally;
        let before = tally.mark();
        let mut image = None;
        let mut picture = false;
        let mut low = false;
        while let Some(Text(key)) = map.next_key()? {
            let place = match &*key {
                // What an object is, in a word or as the schema of something called so.
                "type" | "media_type" | "mimeType" | "mime_type" | "format" | "detail" => {
                    let found = map.next_value_seed(Kind {
                        says: &*key == "type",
                        tally: &mut *tally,
                    })?;
                    picture |= found.picture;
                    low |= found.low;
                    continue;
                }
                "role" | "id" | "call_id" | "tool_call_id" | "tool_use_id" | "cache_control"
                | "status" | "signature" => Place::Name,
                "content" | "text" | "parts" | "function" | "source" | "parameters" => Place::Plain,
                "image_url" => Place::Image,
                "url" if self.place == Place::Image => Place::Image,
                "data" | "file_data" | "bytes" => Place::Data,
                // What they stand for is elsewhere.
                "encrypted_content" | "file_id" | "fileData" | "file_uri" | "s3Location" => {
                    tally.blur();
                    Place::Name
                }
                other => {
                    tally.text(other);
                    // However it is written out, something stands between it and its value.
                    tally.text("\":");
                    Place::Plain
                }
            };
            let found = map.next_value_seed(Weigh {
                place,
                tally: &mut *tally,
            })?;
            image = image.max(found.image);
        }
        // One image, however its parts say so.
        if picture && image.is_none() || image.is_some() && low {
            image = Some(if low { IMAGE_LOW } else { IMAGE });
        }
        if let Some(tokens) = image {
            tally.rewind(before);
            tally.guess(tokens);
        }
        Ok(Found {
            object: true,
            image: image.filter(|_| picture || self.place == Place::Image),
            ..Found::default()
        })
    }
}

fn binary(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BINARY)
}

/// Long, and in the alphabet of base64 as far as one looks.
fn is_base64(text: &str) -> bool {
    let head = &text.as_bytes()[..text.len().min(256)];
    text.len() > 512
        && head
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'))
}

/// Whether a word says of an object that it is text, a call or a schema: what counts by its bytes.
fn is_text(kind: &str) -> bool {
    matches!(
        kind,
        "text" | "input_text" | "output_text" | "summary_text" | "refusal" | "message" | "thinking"
            | "function" | "function_call" | "function_call_output" | "tool_use" | "tool_result"
            | "custom" | "json_schema" | "json_object" | "ephemeral"
            // Schemas.
            | "object" | "array" | "string" | "number" | "integer" | "boolean" | "null"
            | "OBJECT" | "ARRAY" | "STRING" | "NUMBER" | "INTEGER" | "BOOLEAN"
    )
}

/// A word that says what an object is.
struct Kind<'t, 'e> {
    // It is said by `type`.
    says: bool,
    tally: &'t mut Tally<'e>,
}

#[derive(Default)]
struct KindFound {
    picture: bool,
    low: bool,
}

impl<'de> DeserializeSeed<'de> for Kind<'_, '_> {
    type Value = KindFound;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<KindFound, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kind<'_, '_> {
    type Value = KindFound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<KindFound, E> {
        self.tally.text(text);
        if self.says && !is_text(text) {
            self.tally.blur();
        }
        Ok(KindFound {
            picture: text.starts_with("image/")
                || matches!(
                    text,
                    "image" | "image_url" | "input_image" | "png" | "jpeg" | "gif" | "webp"
                ),
            low: text == "low",
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<KindFound, E> {
        Ok(KindFound::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<KindFound, E> {
        Ok(KindFound::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<KindFound, E> {
        Ok(KindFound::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<KindFound, E> {
        Ok(KindFound::default())
    }

    fn visit_unit<E>(self) -> Result<KindFound, E> {
        Ok(KindFound::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<KindFound, A::Error> {
        Weigh::plain(self.tally).visit_seq(seq)?;
        Ok(KindFound::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KindFound, A::Error> {
        Weigh::plain(self.tally).visit_map(map)?;
        Ok(KindFound::default())
    }
}
