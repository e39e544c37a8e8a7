//! The weight of anything that a prompt may be made of.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{
    IMAGE, IMAGE_LOW,
    text::{TOKEN, weigh},
};

/// Tokens around a message's text.
const MESSAGE: u64 = 4;
/// Bytes of base64 for a token.
const BINARY: u64 = 64;

/// What was weighed.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// In sixteenths of a token.
    pub(super) weight: u64,
    /// It is a list, and nothing in it is an object: texts or token ids.
    pub(super) flat: bool,
    /// How many texts and lists are in the list: prompts of their own.
    pub(super) entries: u64,
    object: bool,
    entry: bool,
    // The weight as an image, if it is one.
    image: Option<u64>,
}

impl Found {
    fn of(weight: u64) -> Self {
        Self {
            weight,
            ..Self::default()
        }
    }
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

/// Weighs any JSON value, down to the depth that serde_json allows.
#[derive(Clone, Copy)]
pub(super) struct Weigh(Place);

impl Weigh {
    pub(super) const fn plain() -> Self {
        Self(Place::Plain)
    }

    pub(super) const fn items() -> Self {
        Self(Place::Items)
    }
}

impl<'de> DeserializeSeed<'de> for Weigh {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Weigh {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        let picture = self.0 == Place::Image || text.starts_with("data:image/");
        let image = picture.then_some(IMAGE * TOKEN);
        let weight = match self.0 {
            _ if picture => IMAGE * TOKEN,
            Place::Name => 0,
            _ if text.starts_with("data:") => binary(text),
            Place::Data if is_base64(text) => binary(text),
            _ => weigh(text.as_bytes()),
        };
        Ok(Found {
            weight,
            image,
            entry: true,
            ..Found::default()
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::of(TOKEN))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::of(TOKEN))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::of(TOKEN))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::of(TOKEN))
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::of(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        let mut sum = Found {
            flat: true,
            entry: true,
            ..Found::default()
        };
        while let Some(found) = seq.next_element_seed(Self::plain())? {
            let around = if found.object && self.0 == Place::Items {
                MESSAGE * TOKEN
            } else {
                0
            };
            sum.flat &= !found.object;
            sum.entries += u64::from(found.entry);
            sum.weight = sum.weight.saturating_add(found.weight + around);
        }
        Ok(sum)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut weight = 0_u64;
        let mut image = None;
        let mut picture = false;
        let mut low = false;
        while let Some(Text(key)) = map.next_key()? {
            let place = match &*key {
                // What an object is, in a word or as the schema of something called so.
                "type" | "media_type" | "mimeType" | "mime_type" | "format" | "detail" => {
                    let found = map.next_value_seed(Kind)?;
                    picture |= found.picture;
                    low |= found.low;
                    weight = weight.saturating_add(found.weight);
                    continue;
                }
                "role" | "id" | "call_id" | "tool_call_id" | "tool_use_id" | "cache_control"
                | "status" | "signature" | "encrypted_content" => Place::Name,
                "content" | "text" | "parts" | "function" | "source" | "parameters" => Place::Plain,
                "image_url" => Place::Image,
                "url" if self.0 == Place::Image => Place::Image,
                "data" | "file_data" | "bytes" => Place::Data,
                other => {
                    weight = weight.saturating_add(weigh(other.as_bytes()));
                    Place::Plain
                }
            };
            let found = map.next_value_seed(Self(place))?;
            weight = weight.saturating_add(found.weight);
            image = image.max(found.image);
        }
        // One image, however its parts say so.
        if picture && image.is_none() || image.is_some() && low {
            image = Some(TOKEN * if low { IMAGE_LOW } else { IMAGE });
        }
        Ok(Found {
            weight: image.unwrap_or(weight),
            object: true,
            image: image.filter(|_| picture || self.0 == Place::Image),
            ..Found::default()
        })
    }
}

fn binary(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BINARY) * TOKEN
}

/// Long, and in the alphabet of base64 as far as one looks.
fn is_base64(text: &str) -> bool {
    let head = &text.as_bytes()[..text.len().min(256)];
    text.len() > 512
        && head
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'))
}

/// A word that says what an object is.
struct Kind;

#[derive(Default)]
struct KindFound {
    picture: bool,
    low: bool,
    weight: u64,
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = KindFound;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<KindFound, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kind {
    type Value = KindFound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<KindFound, E> {
        Ok(KindFound {
            picture: text.starts_with("image/")
                || matches!(
                    text,
                    "image" | "image_url" | "input_image" | "png" | "jpeg" | "gif" | "webp"
                ),
            low: text == "low",
            weight: weigh(text.as_bytes()),
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
        let weight = Weigh::plain().visit_seq(seq)?.weight;
        Ok(KindFound {
            weight,
            ..KindFound::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KindFound, A::Error> {
        let weight = Weigh::plain().visit_map(map)?.weight;
        Ok(KindFound {
            weight,
            ..KindFound::default()
        })
    }
}

/// An object's key, borrowed where it has no escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;

        impl<'de> Visitor<'de> for Key {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(Key)
    }
}
