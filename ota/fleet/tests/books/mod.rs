//! Devices that say what they have to say until all of it has a receipt, while something is killed again and again; and the reckoning
//! afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::mqttbytes::v4;

use crate::house::Device;
use crate::station::{Heard, Speech as _};
use crate::{World, attempt, block_on, bytes, needs, receipt, topic};

/// How often a device looks whether it may say more, and after how long without a word it comes anew.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(4);

/// What devices have said, and what they have receipts for.
#[derive(Default)]
struct Books {
    receipts: Mutex<BTreeMap<String, BTreeSet<u64>>>,
    sent: AtomicU64,
    /// Up to which number a device may say something by now: there is load whenever something is struck.
    most: AtomicU64,
}

/// Says all messages until each has its receipt, whatever happens to the connection: as the agent's outbox does.
async fn says_all(
    books: Arc<Books>,
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    device: Arc<Device>,
    count: u64,
) {
    type P = v4::Packet;
    let mut waiting: BTreeSet<u64> = (1..=count).collect();
    while !waiting.is_empty() {
        let Some(mut station) = attempt::<P>(port, tls.clone(), &device.id).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut to_send = waiting.clone().into_iter().peekable();
        let (mut in_flight, mut idle) = (0_u16, Duration::ZERO);
        loop {
            while in_flight < 20 {
                let may = |seq: &u64| *seq <= books.most.load(Ordering::Relaxed);
                let Some(seq) = to_send.next_if(may) else { break };
                let id = u16::try_from(seq % 60_000).unwrap() + 1;
                let payload = bytes(&device.state(seq));
                if station.say(&[P::publish(id, &topic(&device.id, "state"), &payload, true)]).await.is_err()
                {
                    break;
                }
                books.sent.fetch_add(1, Ordering::Relaxed);
                in_flight += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let next = tokio::time::timeout(LOOK, station.next::<P>());
            match next.await {
                Ok(Ok(heard)) => {
                    if let Heard::Message { id: id @ 1.., .. } = &heard {
                        let _ = station.say(&[P::acknowledge(*id)]).await;
                    }
                    if matches!(heard, Heard::Taken(..)) {
                        in_flight = in_flight.saturating_sub(1);
                    }
                    if let Some((_, seq)) = receipt(&heard, &device) {
                        waiting.remove(&seq);
                        books.receipts.lock().unwrap().entry(device.id.clone()).or_default().insert(seq);
                    }
                }
                Ok(Err(_)) => break,
                Err(_) => {
                    // A broker that lost what it had acknowledged gives no receipt: it is said again after a while.
                    idle += LOOK;
                    if idle >= PATIENCE {
                        break;
                    }
                    continue;
                }
            }
            idle = Duration::ZERO;
            if waiting.is_empty() {
                break;
            }
        }
    }
}

/// Devices say what they have to say while servers and brokers are killed; then all of it is there, once.
pub fn nothing_is_lost_or_doubled(mut world: World, mut strike: impl FnMut(&mut World, usize)) {
    let (devices, count, strikes) = if needs::full() { (20, 2_000, 12) } else { (4, 150, 4) };
    // Several carry more while one is down.
    let count = count * (1 + u64::try_from(world.more.len()).unwrap());
    let all: Vec<Arc<Device>> =
        (0..devices).map(|n| Arc::new(world.house.device(&format!("van-{n}")))).collect();
    let books = Arc::new(Books::default());
    let share = count / (u64::try_from(strikes).unwrap() + 2);
    books.most.store(2 * share, Ordering::Relaxed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let work: Vec<_> = all
        .iter()
        .map(|device| {
            runtime.spawn(says_all(books.clone(), world.port, world.tls(device), device.clone(), count))
        })
        .collect();
    let total = u64::try_from(devices).unwrap() * count;
    let had = |books: &Books| books.receipts.lock().unwrap().values().map(BTreeSet::len).sum::<usize>();
    for n in 0..strikes {
        // Under load: some receipts have come since the last one, and many are to come.
        let until = usize::try_from(total).unwrap() * (n + 1) / (strikes + 2);
        for _ in 0..2_400 {
            if had(&books) >= until {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        // However quick the machine is: the strike falls into the first words of a share that has only begun.
        let said = books.sent.load(Ordering::Relaxed);
        books.most.fetch_add(share, Ordering::Relaxed);
        for _ in 0..10_000 {
            if books.sent.load(Ordering::Relaxed) > said {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        strike(&mut world, n);
        // What had a receipt is in the database that the kill has left.
        let receipts = books.receipts.lock().unwrap().clone();
        for device in &all {
            let stored = block_on(world.stored(device));
            let had = receipts.get(&device.id).into_iter().flatten().map(|seq| i64::try_from(*seq).unwrap());
            let lost: Vec<i64> = had.filter(|seq| !stored.contains(&("boot-1".into(), *seq))).collect();
            assert!(lost.is_empty(), "{} had receipts and lost {lost:?}", device.id);
        }
        println!("struck after {} receipts of {total}", receipts.values().map(BTreeSet::len).sum::<usize>());
    }
    books.most.store(count, Ordering::Relaxed);
    runtime.block_on(async {
        for one in work {
            tokio::time::timeout(Duration::from_secs(240), one)
                .await
                .expect("all have their receipts")
                .unwrap();
        }
    });
    for device in &all {
        let stored = block_on(world.stored(device));
        let expected = (1..=count).map(|seq| ("boot-1".to_owned(), i64::try_from(seq).unwrap())).collect();
        assert_eq!(stored, expected, "{}", device.id);
    }
    println!("{total} messages, sent {} times, once in effect", books.sent.load(Ordering::Relaxed));
    assert!(books.sent.load(Ordering::Relaxed) > total, "nothing had to be sent again: nothing was struck");
}
