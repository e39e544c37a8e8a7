//! Members that may be anything.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Google's and Bedrock's corner for the output's size.
#[derive(Default)]
pub(super) struct Config {
    pub(super) allowed: Option<u64>,
    pub(super) answers: Option<u64>,
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConfigVisitor;

        impl<'de> Visitor<'de> for ConfigVisitor {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a configuration")
            }

            fn visit_unit<E>(self) -> Result<Config, E> {
                Ok(Config::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut config = Config::default();
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        "maxOutputTokens" | "max_output_tokens" | "maxTokens" => {
                            config.allowed = map.next_value::<Lax<'de>>()?.count();
                        }
                        "candidateCount" | "candidate_count" => {
                            config.answers = map.next_value::<Lax<'de>>()?.count();
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(config)
            }
        }

        deserializer.deserialize_any(ConfigVisitor)
    }
}

/// A text, a count, or something else that says nothing.
pub(super) enum Lax<'a> {
    Text(Cow<'a, str>),
    Count(u64),
    Other,
}

impl<'a> Lax<'a> {
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn count(self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(count),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Lax<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LaxVisitor)
    }
}

struct LaxVisitor;

impl<'de> Visitor<'de> for LaxVisitor {
    type Value = Lax<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Lax<'de>, E> {
        Ok(Lax::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Lax<'de>, E> {
        Ok(Lax::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Lax<'de>, E> {
        Ok(Lax::Count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Lax<'de>, E> {
        Ok(Lax::Other)
    }

    fn visit_f64<E>(self, count: f64) -> Result<Lax<'de>, E> {
        // Some writers know no integers. The cast saturates.
        Ok(if count >= 0.0 {
            Lax::Count(count.ceil() as u64)
        } else {
            Lax::Other
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Lax<'de>, E> {
        Ok(Lax::Other)
    }

    fn visit_unit<E>(self) -> Result<Lax<'de>, E> {
        Ok(Lax::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Lax<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lax::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lax<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Lax::Other)
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
