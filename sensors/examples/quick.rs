use std::sync::Arc; use std::time::Duration;
use stopline_sensors::{clip::*, clock::SystemClock, source::*};
fn main() { for p in std::env::args().skip(1) {
  match ClipSource::open(std::path::Path::new(&p), ClipOptions::default(), Arc::new(SystemClock)) {
    Err(e) => println!("{p}: ERR {e}"),
    Ok(mut s) => { let (mut n,mut k)=(0,0); let mut last=Duration::ZERO; let mut f=None; loop { match s.next(Duration::from_secs(1)) { Ok(Event::Frame(x)) => { n+=1; let q=x.meta().position.unwrap(); assert!(q>=last); last=q; f=Some(format!("{x:?} {:?}",x.colour())); }, Ok(Event::Skipped(e)) => {k+=1; if k<4 {println!("  {e}")}}, Ok(Event::End)=>break, Ok(o)=>println!("{o:?}"), Err(e)=>{println!("  ERR {e}");break} } }
      println!("{p}: {n} frames {k} skipped last {last:?} {f:?} info {:?}", s.info()); } } } }
