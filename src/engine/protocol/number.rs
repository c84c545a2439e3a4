//! Numbers that may be none: JSON has no NaN, and what is written as null is NaN again when it is read.

use serde::{Deserialize, Deserializer};

/// A number, or NaN for null.
pub fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Numbers by name, NaN for null.
pub fn map_or_nan<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<std::collections::BTreeMap<String, f64>, D::Error> {
    let map = std::collections::BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(name, v)| (name, v.unwrap_or(f64::NAN))).collect())
}
