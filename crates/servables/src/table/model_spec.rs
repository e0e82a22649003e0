// SPDX-License-Identifier: Apache-2.0
//! Which servable a request means.

use std::borrow::Cow;

use crate::DEFAULT_SIGNATURE;

/// Which version of a model a request means.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum VersionChoice<'a> {
    /// The highest version that is served.
    #[default]
    Latest,
    Specific(i64),
    Label(Cow<'a, str>),
}

/// `tensorflow.serving.ModelSpec`, borrowed from the request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ModelSpec<'a> {
    pub name: Cow<'a, str>,
    pub version: VersionChoice<'a>,
    /// Empty means [`DEFAULT_SIGNATURE`].
    pub signature_name: Cow<'a, str>,
}

impl ModelSpec<'_> {
    /// The same, with texts of its own.
    pub fn into_owned(self) -> ModelSpec<'static> {
        ModelSpec {
            name: Cow::Owned(self.name.into_owned()),
            version: match self.version {
                VersionChoice::Latest => VersionChoice::Latest,
                VersionChoice::Specific(version) => VersionChoice::Specific(version),
                VersionChoice::Label(label) => VersionChoice::Label(Cow::Owned(label.into_owned())),
            },
            signature_name: Cow::Owned(self.signature_name.into_owned()),
        }
    }

    /// The signature's name with the default filled in.
    pub fn resolved_signature(&self) -> &str {
        if self.signature_name.is_empty() { DEFAULT_SIGNATURE } else { &self.signature_name }
    }
}
