//! The physical limits of this machine, measured in the same run as the server: signatures and
//! password hashes per second on one thread and on all cores, and an empty HTTP exchange.

use std::hint::black_box;
use std::num::NonZero;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde::Serialize;

use crate::empty::EmptyServer;
use crate::http::{Connection, request};
use crate::load::{self, Figures};
use crate::options::Options;
use crate::scenario::{Cost, Worker};

/// The cost of a password hash that the server never goes below: 19 MiB, two passes, one lane.
const ARGON2: (u32, u32, u32) = (19_456, 2, 1);
/// What is signed is as long as a usual access token.
const MESSAGE: [u8; 900] = [b'a'; 900];
/// No single limit is measured for longer.
const LONGEST: Duration = Duration::from_secs(2);

/// A rate per second.
#[derive(Clone, Copy, Serialize)]
pub struct Rate {
    /// On one thread.
    pub one_thread: f64,
    /// On as many threads as there are cores.
    pub all_cores: f64,
}

/// An empty exchange at a number of connections.
#[derive(Serialize)]
pub struct EmptyExchange {
    /// Connections in the closed loop.
    pub connections: usize,
    /// What it did there.
    pub figures: Figures,
}

/// What this machine can do.
#[derive(Serialize)]
pub struct Limits {
    /// Threads that run at once.
    pub cores: usize,
    /// ES256 signatures, the key parsed once.
    pub es256: Rate,
    /// RS256 signatures with 2048 bits, the key parsed once.
    pub rs256: Rate,
    /// EdDSA signatures, the key parsed once.
    pub eddsa: Rate,
    /// Argon2id hashes in memory that is used again.
    pub argon2: Rate,
    /// The empty actix handler.
    pub empty: Vec<EmptyExchange>,
}

impl Limits {
    /// Units per second of something that takes this much at least, at so many connections: one
    /// connection waits for each part in turn on one thread, more of them share all cores.
    pub fn per_second(&self, cost: &Cost, connections: usize) -> Option<f64> {
        let exchange = self
            .empty
            .iter()
            .find(|empty| empty.connections == connections)?;
        let pick = |rate: Rate| {
            if connections == 1 {
                rate.one_thread
            } else {
                rate.all_cores
            }
        };
        let seconds = cost.exchanges / exchange.figures.per_second
            + cost.es256 / pick(self.es256)
            + cost.rs256 / pick(self.rs256)
            + cost.argon2 / pick(self.argon2);
        Some(1.0 / seconds)
    }

    /// One line per limit.
    pub fn print(&self) {
        println!(
            "physical limits of this machine, per second, {} cores",
            self.cores
        );
        println!("  {:<34}{:>12}{:>12}", "", "1 thread", "all cores");
        for (name, rate) in [
            ("sign ES256 (aws-lc-rs)", self.es256),
            ("sign RS256, 2048 bits (aws-lc-rs)", self.rs256),
            ("sign EdDSA (aws-lc-rs)", self.eddsa),
            ("Argon2id m=19456 t=2 p=1", self.argon2),
        ] {
            println!(
                "  {name:<34}{:>12.0}{:>12.0}",
                rate.one_thread, rate.all_cores
            );
        }
        for EmptyExchange {
            connections,
            figures,
        } in &self.empty
        {
            println!(
                "  {:<34}{:>12.0}   p99 {:.3} ms, server {:.2} and load {:.2} cores",
                format!("empty actix handler, {connections} conns"),
                figures.per_second,
                figures.latency.p99,
                figures.server_cores,
                figures.load_cores,
            );
        }
    }
}

/// Measures them all.
pub async fn measure(options: &Options) -> Result<Limits> {
    let each = options.measured().min(LONGEST);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (es256, rs256, eddsa, argon2) = tokio::task::spawn_blocking(move || -> Result<_> {
        Ok((
            es256(cores, each)?,
            rs256(cores, each)?,
            eddsa(cores, each)?,
            argon2(cores, each)?,
        ))
    })
    .await??;
    let server = EmptyServer::start()?;
    let bytes = request("GET", "localhost", "/", &[], b"");
    let mut empty = Vec::new();
    for &connections in &options.connections {
        let worker = || Worker::repeating(Connection::new(server.address), bytes.clone());
        let workers = (0..connections).map(|_| worker()).collect();
        let figures = load::measure(workers, server.pid(), each / 4, each).await?;
        empty.push(EmptyExchange {
            connections,
            figures,
        });
    }
    Ok(Limits {
        cores,
        es256,
        rs256,
        eddsa,
        argon2,
        empty,
    })
}

fn es256(cores: usize, each: Duration) -> Result<Rate> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    rate(cores, each, || {
        let (key, random) = (&key, SystemRandom::new());
        move || Ok(key.sign(&random, &MESSAGE)?)
    })
}

fn rs256(cores: usize, each: Duration) -> Result<Rate> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
    rate(cores, each, || {
        let (key, random) = (&key, SystemRandom::new());
        let mut signature = vec![0; key.public_modulus_len()];
        move || Ok(key.sign(&RSA_PKCS1_SHA256, &random, &MESSAGE, &mut signature)?)
    })
}

fn eddsa(cores: usize, each: Duration) -> Result<Rate> {
    let key = Ed25519KeyPair::generate()?;
    rate(cores, each, || {
        let key = &key;
        move || Ok(key.try_sign(&MESSAGE)?)
    })
}

fn argon2(cores: usize, each: Duration) -> Result<Rate> {
    let (memory, passes, lanes) = ARGON2;
    let refused = |error: argon2::Error| anyhow!("Argon2: {error}");
    let params = Params::new(memory, passes, lanes, None).map_err(refused)?;
    rate(cores, each, || {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        let mut blocks = vec![Block::new(); params.block_count()];
        move || {
            let mut hash = [0; 32];
            argon2
                .hash_password_into_with_memory(b"a password", &[7; 16], &mut hash, &mut blocks)
                .map_err(refused)?;
            Ok(hash)
        }
    })
}

/// The rate of what `make` makes, first on one thread and then on all cores.
fn rate<M, W, T>(cores: usize, each: Duration, make: M) -> Result<Rate>
where
    M: Fn() -> W + Sync,
    W: FnMut() -> Result<T>,
{
    Ok(Rate {
        one_thread: repeat(1, each, &make)?,
        all_cores: repeat(cores, each, &make)?,
    })
}

/// Repeats what `make` makes on so many threads for about as long as `each`; the rate per second.
fn repeat<M, W, T>(threads: usize, each: Duration, make: &M) -> Result<f64>
where
    M: Fn() -> W + Sync,
    W: FnMut() -> Result<T>,
{
    let one = || -> Result<f64> {
        let mut work = make();
        work()?;
        let begun = Instant::now();
        let mut count = 0_u32;
        while begun.elapsed() < each {
            black_box(work()?);
            count += 1;
        }
        Ok(f64::from(count) / begun.elapsed().as_secs_f64())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let rates = running.into_iter().map(|thread| {
            thread
                .join()
                .map_err(|_| anyhow!("a measuring thread panicked"))?
        });
        rates.sum()
    })
}
