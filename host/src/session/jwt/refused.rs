//! Why a token is not taken.

use crate::config::JwtAlgorithm;

/// For the client to read: says what is wrong with its token, and nothing of the keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("A token is required.")]
    Required,
    #[error("The token is too long.")]
    TooLong,
    #[error("The token is malformed.")]
    Malformed,
    #[error("The token's algorithm must be {}.", either(.0))]
    Algorithm(Vec<JwtAlgorithm>),
    #[error("The token wants extensions ('crit') that are not known here.")]
    Critical,
    #[error("The server cannot check tokens now: the keys are not available.")]
    NoKeys,
    #[error("The token's key is not known.")]
    UnknownKey,
    #[error("The token's signature does not match.")]
    Signature,
    #[error("The token has expired.")]
    Expired,
    #[error("The token is not valid yet.")]
    NotYet,
    #[error("The token has no '{0}'.")]
    Missing(String),
    #[error("The token is from another issuer.")]
    Issuer,
    #[error("The token is for another audience.")]
    Audience,
    /// A claim and what it must be.
    #[error("The token's '{0}' is not {1}.")]
    Claim(String, &'static str),
}

/// `A`, `A or B`, `A or B or C`.
pub fn either(algorithms: &[JwtAlgorithm]) -> String {
    algorithms.iter().map(JwtAlgorithm::to_string).collect::<Vec<_>>().join(" or ")
}
