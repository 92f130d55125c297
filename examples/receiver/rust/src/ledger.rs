use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The part of the body that this receiver uses.
pub struct Webhook {
    kind: String,
    original: Option<String>,
    position: String,
}

impl Webhook {
    /// Returns None if the body is malformed.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        Some(Self {
            kind: body["type"].as_str()?.to_owned(),
            original: body["original"].as_str().map(str::to_owned),
            position: position(&body["data"])?,
        })
    }
}

/// The identity on the chain: block hash and log index, or `t` and transaction index of a transfer.
fn position(data: &Value) -> Option<String> {
    let block_hash = data["block_hash"].as_str()?;
    match data["log_index"].as_u64() {
        Some(index) => Some(format!("{block_hash}:{index}")),
        None => Some(format!(
            "{block_hash}:t{}",
            data["transaction_index"].as_u64()?
        )),
    }
}

/// Applies each webhook once.
///
/// It is in memory. In production its collections are tables: the id (primary key) and the effect of a webhook
/// belong into one transaction, which is committed before the answer. Only then does a restart lose nothing.
#[derive(Default)]
pub struct Ledger(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    processed: HashSet<String>,
    states: HashMap<String, &'static str>,
}

impl Ledger {
    /// Your business logic. Does nothing if the id was processed before.
    pub fn apply(&self, id: &str, webhook: &Webhook) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !tables.processed.insert(id.to_owned()) {
            return;
        }
        let original = webhook.original.as_deref().unwrap_or_default();
        match webhook.kind.as_str() {
            "log.emitted" | "transfer.emitted" => {
                tables.states.insert(id.to_owned(), "applied");
                println!("applied {id} {}", webhook.position);
            }
            // A reorg removed the log: undo the effect of the original.
            "log.removed" | "transfer.removed" => tables.set_state(original, "reversed"),
            // No reorg can remove the log any more.
            "log.finalized" | "transfer.finalized" => tables.set_state(original, "finalized"),
            other => println!("ignored {id} {other}"),
        }
    }
}

impl Tables {
    fn set_state(&mut self, original: &str, state: &'static str) {
        if let Some(entry) = self.states.get_mut(original) {
            *entry = state;
        }
        println!("{state} {original}");
    }
}
