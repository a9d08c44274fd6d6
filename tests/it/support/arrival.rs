//! What arrives at an application: the authorization response and what its code is exchanged for.

use std::collections::BTreeMap;
use std::sync::Arc;

use vestibule::kernel::UserId;

use super::oracle::Ledger;
use super::rp::{JsonAnswer, Request, Tokens};

/// What arrived at an application.
pub struct Arrival {
    /// The parameters of the authorization response.
    pub parameters: BTreeMap<String, String>,
    /// The request that it answers.
    pub asked: Request,
    pub(super) ledger: Arc<Ledger>,
    pub(super) person: Option<UserId>,
}

/// The outcome of a code exchange.
pub struct Exchange {
    /// The tokens, or the server's error.
    pub outcome: Result<Tokens, JsonAnswer>,
}

impl Arrival {
    /// The code.
    #[track_caller]
    pub fn code(&self) -> &str {
        self.parameters.get("code").expect("a code")
    }

    /// Exchanges the code by the stranger's library.
    pub async fn exchange(&self) -> Exchange {
        let outcome = self.asked.rp.exchange(self.code(), &self.asked).await;
        if let (Ok(tokens), Some(person)) = (&outcome, &self.person) {
            self.ledger.tokens(person, &self.asked.rp, tokens);
        }
        Exchange { outcome }
    }
}

impl Exchange {
    /// That there are tokens.
    #[track_caller]
    pub fn assert_tokens(self) -> Tokens {
        self.outcome.expect("tokens")
    }

    /// That there are none, and why.
    #[track_caller]
    pub fn assert_refused(self, error: &str) {
        match self.outcome {
            Ok(tokens) => panic!("tokens were issued: {tokens:?}"),
            Err(answer) => {
                answer.assert_error(error);
            }
        }
    }
}
