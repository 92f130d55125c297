//! Webhook receiver: verify, deduplicate, apply, then answer.
//!
//! WEBHOOK_SECRET=whsec_… cargo run

mod ledger;

use std::env;
use std::io::Read;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{Engine, BASE64_STANDARD};
use hmac::{Hmac, Mac};
use ledger::{Ledger, Webhook};
use sha2::Sha256;
use tiny_http::{Method, Request, Response, Server, StatusCode};

const TOLERANCE_SECONDS: u64 = 300;
const MAX_BODY_BYTES: u64 = 8 * 1024 * 1024;
const THREADS: usize = 8;

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Receiver {
    key: Vec<u8>,
    ledger: Ledger,
}

impl Receiver {
    fn status(&self, request: &mut Request) -> std::io::Result<u16> {
        if *request.method() != Method::Post {
            return Ok(405);
        }
        let mut body = Vec::new();
        request
            .as_reader()
            .take(MAX_BODY_BYTES + 1)
            .read_to_end(&mut body)?;
        if body.len() as u64 > MAX_BODY_BYTES {
            return Ok(413);
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        if self.verify(request, &body, now).is_none() {
            return Ok(401);
        }
        let Some(webhook) = Webhook::parse(&body) else {
            return Ok(400);
        };
        // A sample of `hookfarm endpoints test` has no effect.
        if header(request, "webhook-test").is_none() {
            self.ledger
                .apply(header(request, "webhook-id").unwrap_or_default(), &webhook);
        }
        Ok(204)
    }

    /// Standard Webhooks 1.0: one valid v1 signature among those in the header is enough.
    fn verify(&self, request: &Request, body: &[u8], now: u64) -> Option<()> {
        let id = header(request, "webhook-id")?;
        let timestamp = header(request, "webhook-timestamp")?;
        let signatures = header(request, "webhook-signature")?;
        if now.abs_diff(timestamp.parse().ok()?) > TOLERANCE_SECONDS {
            return None;
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|encoded| BASE64_STANDARD.decode(encoded).ok())
            .find(|offered| mac.clone().verify_slice(offered).is_ok()) // In constant time.
            .map(drop)
    }
}

fn header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    let found = request
        .headers()
        .iter()
        .find(|header| header.field.equiv(name));
    found.map(|header| header.value.as_str())
}

fn main() -> Result<(), Error> {
    let secret = env::var("WEBHOOK_SECRET")?;
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_"))?;
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".into());
    let port = env::var("PORT").unwrap_or_else(|_| "9000".into());
    let server = Server::http(format!("{host}:{port}"))?;
    println!("listening on http://{}", server.server_addr());
    let receiver = Receiver {
        key,
        ledger: Ledger::default(),
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for mut request in server.incoming_requests() {
                    // A failed read gets no answer: hookfarm sends the webhook again.
                    if let Ok(status) = receiver.status(&mut request) {
                        let _ = request.respond(Response::empty(StatusCode(status)));
                    }
                }
            });
        }
    });
    Ok(())
}
