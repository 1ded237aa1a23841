package loadgen;

import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;

/** What all producers and consumers of one run count together. */
final class Tally {
    /** Marks the messages of this run; those of its measured phase carry RUN + 1. */
    static final int RUN = (int) (System.nanoTime() / 1000) | 1;

    final AtomicLong warmReceived = new AtomicLong();
    final AtomicLong received = new AtomicLong();
    final AtomicLong redelivered = new AtomicLong();
    final AtomicLong orderBreaks = new AtomicLong();
    final AtomicLong strangers = new AtomicLong();
    final AtomicLong errors = new AtomicLong();
    volatile long lastReceive;
    volatile boolean stop;

    void error(String who, Exception e) {
        errors.incrementAndGet();
        System.err.println(who + ": " + e);
    }

    /** How often each sequence number of each producer arrived. A topic's consumers have one each, a queue's share one. */
    static final class Seen {
        final AtomicIntegerArray[] times;

        Seen(int producers, int perProducer) {
            times = new AtomicIntegerArray[producers];
            for (int i = 0; i < producers; i++) {
                times[i] = new AtomicIntegerArray(perProducer);
            }
        }
    }
}
