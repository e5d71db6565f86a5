//! Strict JSON, and the extra claims a caller may put into a link.
//!
//! Strict: no member twice, at any depth; an object is never written as an array; `null` is not
//! "absent". What two readers could understand differently is refused, not interpreted.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
    },
};
use serde_json::{Map, Value};

/// The most bytes that extra claims may have, serialised as JSON.
pub const MAX_CLAIMS: usize = 512;
/// The deepest nesting of extra claims; a reader with the usual limit of 128 must still read
/// the token around them.
pub const MAX_DEPTH: usize = 32;

/// Extra claims (`ctx`): a JSON object of at most [`MAX_CLAIMS`] bytes, not nested deeper than
/// [`MAX_DEPTH`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

/// The extra claims cannot be carried by a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotClaims {
    /// More than [`MAX_CLAIMS`] bytes; this many.
    #[error("{0} bytes as JSON; at most {MAX_CLAIMS} are carried")]
    TooLarge(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

impl Claims {
    /// Takes a JSON object as extra claims.
    ///
    /// # Errors
    /// [`NotClaims`] if it is too large or too deep.
    pub fn new(object: Map<String, Value>) -> Result<Self, NotClaims> {
        if object.values().any(|value| deeper_than(value, MAX_DEPTH - 1)) {
            return Err(NotClaims::TooDeep);
        }
        let claims = Self(object);
        let mut length = Length(0);
        // Writing to a counter cannot fail.
        let _ = serde_json::to_writer(&mut length, &claims);
        if length.0 > MAX_CLAIMS { Err(NotClaims::TooLarge(length.0)) } else { Ok(claims) }
    }

    /// The claim of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Each claim, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object itself.
    pub const fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(StrictValue)? {
            Value::Object(object) => Self::new(object).map_err(D::Error::custom),
            _ => Err(D::Error::custom("an object is expected")),
        }
    }
}

/// Reads one `T`, an object, and nothing else, from the bytes of a JSON text.
pub(crate) fn from_json<'de, T: Deserialize<'de>>(json: &'de [u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<Object<T>>(json).map(|object| object.0)
}

/// Reads one JSON value, without a member written twice, and nothing else.
///
/// # Errors
/// What is no JSON, or says something twice.
pub fn value_from_json(json: &[u8]) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = StrictValue.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// For `deserialize_with`: the value must be an object. A derived struct would take an array too.
pub(crate) fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Object::deserialize(deserializer).map(|object| object.0)
}

/// For `deserialize_with` beside `default`: an optional member is absent or a `T`, never `null`.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Object)
    }
}

/// Any JSON value without a member written twice.
#[derive(Clone, Copy)]
struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is written twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(values), Some(left)) => values.iter().any(|value| deeper_than(value, left)),
        (Value::Object(object), Some(left)) => {
            object.values().any(|value| deeper_than(value, left))
        }
        _ => false,
    }
}

/// Counts what is written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Option<Claims> {
        from_json::<Claims>(json.as_bytes()).ok()
    }

    #[test]
    fn claims_are_an_object_without_a_member_twice_at_any_depth() {
        assert!(claims(r#"{"a":1,"b":[{"a":1},{"a":1}],"c":null,"d":-1,"e":0.5}"#).is_some());
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[[{"b":1,"\u0062":2}]]}"#,
            "[]",
            "null",
            "{} {}",
            r#"{"a":1e999}"#,
        ] {
            assert!(claims(json).is_none(), "{json}");
        }
    }

    #[test]
    fn claims_have_at_most_512_bytes() {
        let of = |length: usize| {
            let mut object = Map::new();
            object.insert("a".into(), "x".repeat(length - r#"{"a":""}"#.len()).into());
            Claims::new(object)
        };
        assert!(of(512).is_ok());
        assert_eq!(of(513), Err(NotClaims::TooLarge(513)));
    }

    #[test]
    fn claims_nest_at_most_32_deep() {
        let of = |depth: usize| {
            let mut value = Value::from(1);
            for _ in 1..depth {
                value = Value::Array(vec![value]);
            }
            Claims::new(Map::from_iter([("a".to_owned(), value)]))
        };
        assert!(of(32).is_ok());
        assert_eq!(of(33), Err(NotClaims::TooDeep));
    }
}
