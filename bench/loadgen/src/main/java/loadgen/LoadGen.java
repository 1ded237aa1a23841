package loadgen;

import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.transport.DefaultTransportListener;

/**
 * Load client for one broker. It speaks to its parent over stdin and stdout: a line that begins with '@' marks a phase, and
 * after each it waits for a line on stdin; the last line is JSON.
 *
 *   mode=run      producers and consumers at once: warm-up, then the measured phase
 *   mode=backlog  fill with no consumer, wait while the broker restarts, then drain; before it, if asked for, a small one for comparison
 *   mode=idle     open connections and hold them
 *   mode=queues   one message through each of many queues, whose consumers stay
 *   mode=gaps     store messages, then send one after the other while the parent does something to the broker, and say each time how long no
 *                 send was answered; what was sent is received at the end
 */
public final class LoadGen {
    private static final BufferedReader PARENT = new BufferedReader(new InputStreamReader(System.in));
    /** How the verdict begins if every message came once, in order and without an error. */
    private static final String SOUND = "\"ok\":true";

    private final Settings settings;
    private final Tally tally = new Tally();

    private LoadGen(Settings settings) {
        this.settings = settings;
    }

    public static void main(String[] args) throws Exception {
        LoadGen load = new LoadGen(new Settings(args));
        String result = switch (load.settings.mode) {
            case "run" -> load.run();
            case "backlog" -> load.backlog();
            case "idle" -> load.idle();
            case "queues" -> load.queues();
            case "gaps" -> load.gaps();
            default -> throw new IllegalArgumentException("--mode=" + load.settings.mode + "; want run, backlog, idle, queues or gaps");
        };
        System.out.println(result);
        System.out.flush();
        Runtime.getRuntime().halt(0);   // closing a thousand connections is not what is measured
    }

    private static void mark(String phase) throws IOException {
        mark(phase, System.nanoTime());
    }

    private static void mark(String phase, long at) throws IOException {
        System.out.println("@" + phase + " " + at);
        System.out.flush();
        PARENT.readLine();
    }

    // ---- the modes

    private String run() throws Exception {
        List<Consumer> consumers = settings.equalities > 0 ? openEqualities() : openConsumers();
        List<Producer> producers = openProducers();
        int copies = settings.topic ? settings.consumers : 1;
        AtomicLong warmSent = new AtomicLong();
        each(producers, p -> warmSent.addAndGet(p.send(false, settings.warmPerProducer, settings.warmSeconds, tally)));
        awaitReceived(tally.warmReceived, warmSent.get() * copies, 10);

        mark("start");
        double cpu = cpuSeconds();
        long begin = System.nanoTime();
        tally.lastReceive = begin;
        each(producers, p -> p.send(true, settings.perProducer, settings.seconds, tally));
        long sent = producers.stream().mapToLong(p -> p.sent).sum();
        long sendEnd = producers.stream().mapToLong(p -> p.lastSend).max().orElse(begin);
        awaitReceived(tally.received, sent * copies, 15);
        cpu = cpuSeconds() - cpu;
        mark("end");

        String verdict = verdict(producers, consumers);
        Histogram endToEnd = new Histogram();
        consumers.stream().map(c -> c.latency).distinct().forEach(endToEnd::add);
        Histogram send = new Histogram();
        producers.forEach(p -> send.add(p.latency));
        return "{" + verdict + ",\"send_per_s\":" + f(sent / ((sendEnd - begin) / 1e9))
                + ",\"recv_per_s\":" + f(tally.received.get() / ((tally.lastReceive - begin) / 1e9))
                + ",\"seconds\":" + f((tally.lastReceive - begin) / 1e9)
                + ",\"e2e_us\":" + endToEnd.json() + ",\"send_us\":" + send.json()
                + ",\"client_cpu_s\":" + f(cpu) + "}";
    }

    private String backlog() throws Exception {
        warmConsumingClasses();
        // The first warms both up, the second counts.
        String reference = "";
        for (int i = 0; i < 2 && settings.reference > 0; i++) {
            reference = reference();
        }
        List<Producer> producers = openProducers();
        mark("start");
        double fillSeconds = fill(producers, settings.perProducer);
        mark("filled");
        for (int i = 0; i < settings.restarts; i++) {
            mark("restart");    // the parent answers when it has started the broker again
            mark("first", awaitFirstMessage());
        }
        mark("drain");
        double cpu = cpuSeconds();
        long sent = producers.stream().mapToLong(p -> p.sent).sum();
        long begin = System.nanoTime();
        List<Consumer> consumers = openConsumers();
        awaitReceived(tally.received, sent, 20);
        cpu = cpuSeconds() - cpu;
        mark("end");

        String verdict = verdict(producers, consumers);
        return "{" + verdict + ",\"fill_per_s\":" + f(sent / fillSeconds)
                + ",\"drain_per_s\":" + f(tally.received.get() / ((tally.lastReceive - begin) / 1e9)) + reference
                + ",\"client_cpu_s\":" + f(cpu) + "}";
    }

    /** Fills the empty queue with few messages and drains it: the JSON fields of the rates without a backlog. */
    private String reference() throws Exception {
        LoadGen few = new LoadGen(settings);
        List<Producer> producers = few.openProducers();
        double fillSeconds = few.fill(producers, settings.reference / settings.producers);
        long sent = producers.stream().mapToLong(p -> p.sent).sum();
        long begin = System.nanoTime();
        List<Consumer> consumers = few.openConsumers();
        awaitReceived(few.tally.received, sent, 20);
        String verdict = few.verdict(producers, consumers);
        for (Consumer c : consumers) {
            c.close();
        }
        if (!verdict.startsWith(SOUND)) {
            throw new IOException("the backlog for comparison did not come back as it was sent: " + verdict);
        }
        return ",\"reference_fill_per_s\":" + f(sent / fillSeconds)
                + ",\"reference_drain_per_s\":" + f(sent / ((few.tally.lastReceive - begin) / 1e9));
    }

    /** Sends, closes the producers, and answers the seconds that the sending took. */
    private double fill(List<Producer> producers, int perProducer) throws Exception {
        long begin = System.nanoTime();
        each(producers, p -> p.send(true, perProducer, 0, tally));
        double seconds = (System.nanoTime() - begin) / 1e9;
        for (Producer p : producers) {
            p.connection.close();
        }
        return seconds;
    }

    private String idle() throws Exception {
        List<Connection> held = new ArrayList<>();
        mark("start");
        long begin = System.nanoTime();
        for (int i = 0; i < settings.connections; i++) {
            Connection c = settings.connect();
            settings.session(c, false);
            held.add(c);
        }
        double seconds = (System.nanoTime() - begin) / 1e9;
        mark("end");
        return "{\"connections\":" + held.size() + ",\"connects_per_s\":" + f(held.size() / seconds) + ",\"ok\":true}";
    }

    /** Each connection has its share of the queues, a consumer on each, and no message in more than one of them at a time. */
    private String queues() throws Exception {
        List<QueueWalk> walks = new ArrayList<>();
        for (int i = 0; i < settings.connections; i++) {
            walks.add(new QueueWalk(settings, tally, i));
        }
        mark("start");
        double cpu = cpuSeconds();
        long begin = System.nanoTime();
        together(walks.size(), i -> walks.get(i).run());
        double seconds = (System.nanoTime() - begin) / 1e9;
        cpu = cpuSeconds() - cpu;
        mark("end");
        long received = tally.received.get();
        return "{\"ok\":" + (received == settings.queues && tally.errors.get() == 0) + ",\"received\":" + received
                + ",\"lost\":" + (settings.queues - received) + ",\"errors\":" + tally.errors + ",\"seconds\":" + f(seconds)
                + ",\"client_cpu_s\":" + f(cpu) + "}";
    }

    /** The parent answers @fault when it has done something to the broker and all should be well again; @gap tells it the longest wait for an answer since. */
    private String gaps() throws Exception {
        if (settings.stored > 0) {
            store();
        }
        mark("stored");
        Producer producer = new Producer(settings, 0);
        AtomicLong interruptions = new AtomicLong();
        ((ActiveMQConnection) producer.connection).addTransportListener(new DefaultTransportListener() {
            @Override
            public void transportInterupted() {
                interruptions.incrementAndGet();
            }
        });
        CountDownLatch sending = new CountDownLatch(1);
        start("sender", () -> {
            try {
                producer.send(true, settings.perProducer, settings.seconds, tally);
            } catch (Exception e) {
                tally.error("sender", e);
            }
            sending.countDown();
        });
        Thread.sleep((long) (settings.warmSeconds * 1000));
        for (int i = 0; i < settings.rounds; i++) {
            producer.longestWait();
            mark("fault");
            mark("gap", producer.longestWait());
        }
        tally.stop = true;
        if (!sending.await(30, TimeUnit.SECONDS)) {
            tally.errors.incrementAndGet();
            System.err.println("the last send was never answered");
        }
        tally.stop = false;
        List<Consumer> consumers = openConsumers();
        awaitReceived(tally.received, producer.sent, 20);
        return "{" + verdict(List.of(producer), consumers) + ",\"interruptions\":" + interruptions + "}";
    }

    /** Fills a queue of its own, which stays as it is. */
    private void store() throws JMSException {
        Connection connection = settings.connect();
        Session session = settings.session(connection, true);
        MessageProducer producer = session.createProducer(session.createQueue(settings.destination + ".stored"));
        BytesMessage m = session.createBytesMessage();
        m.writeBytes(new byte[settings.sizeBytes]);
        for (int i = 1; i <= settings.stored; i++) {
            producer.send(m);
            if (i % settings.batch == 0 || i == settings.stored) {
                session.commit();
            }
        }
        connection.close();
    }

    // ---- steps

    private List<Producer> openProducers() throws JMSException {
        List<Producer> producers = new ArrayList<>();
        for (int i = 0; i < settings.producers; i++) {
            producers.add(new Producer(settings, i));
        }
        return producers;
    }

    private List<Consumer> openConsumers() throws JMSException {
        List<Consumer> consumers = new ArrayList<>();
        Tally.Seen shared = new Tally.Seen(settings.producers, settings.perProducer);
        for (int i = 0; i < settings.consumers; i++) {
            Tally.Seen seen = settings.topic ? new Tally.Seen(settings.producers, settings.perProducer) : shared;
            Consumer c = new Consumer(settings, tally, i, seen);
            consumers.add(c);
            start("consumer-" + i, c);
        }
        return consumers;
    }

    /** Consumers that differ in their selector alone, all in one session, so that many cost no more sockets and threads than one. */
    private List<Consumer> openEqualities() throws JMSException {
        List<Consumer> consumers = new ArrayList<>();
        Tally.Seen shared = new Tally.Seen(settings.producers, settings.perProducer);
        Session session = settings.session(settings.connect(), false);
        Histogram latency = new Histogram();
        for (int i = 0; i < settings.equalities; i++) {
            consumers.add(new Consumer(settings, tally, i, shared, session, "x = " + i, latency));
        }
        return consumers;
    }

    private static void start(String name, Runnable work) {
        Thread t = new Thread(work, name);
        t.setDaemon(true);
        t.start();
    }

    private interface Step {
        void run(Producer p) throws Exception;
    }

    private void each(List<Producer> producers, Step step) throws InterruptedException {
        together(producers.size(), i -> step.run(producers.get(i)));
    }

    private interface Work {
        void run(int i) throws Exception;
    }

    /** Does the work of 0 to n-1, each on a thread of its own. */
    private void together(int n, Work work) throws InterruptedException {
        CountDownLatch running = new CountDownLatch(n);
        for (int i = 0; i < n; i++) {
            int which = i;
            start("work-" + i, () -> {
                try {
                    work.run(which);
                } catch (Exception e) {
                    tally.error("thread " + which, e);
                } finally {
                    running.countDown();
                }
            });
        }
        running.await();
    }

    /** Waits until so many were received, or none came for some seconds. */
    private static void awaitReceived(AtomicLong received, long want, double quietSeconds) throws InterruptedException {
        long seen = -1;
        long since = System.nanoTime();
        while (received.get() < want) {
            long now = received.get();
            if (now != seen) {
                seen = now;
                since = System.nanoTime();
            } else if (System.nanoTime() - since > quietSeconds * 1e9) {
                return;
            }
            Thread.sleep(2);
        }
    }

    /** So that the first message after a restart does not wait for this process to load its classes. */
    private void warmConsumingClasses() throws JMSException {
        Connection connection = settings.connect();
        Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        Destination queue = session.createQueue(settings.destination + ".warm");
        MessageProducer producer = session.createProducer(queue);
        MessageConsumer consumer = session.createConsumer(queue);
        for (int i = 0; i < 200; i++) {
            producer.send(session.createBytesMessage());
            consumer.receive(5000).acknowledge();
        }
        connection.close();
    }

    /** Connects again and again until one message of the backlog has come, and answers when. It is not acknowledged. */
    private long awaitFirstMessage() throws Exception {
        long patienceSeconds = 90 + settings.perProducer / 1000; // some brokers read the whole backlog first
        long deadline = System.nanoTime() + patienceSeconds * 1_000_000_000L;
        URI url = new URI(settings.url.replaceAll("\\?.*", ""));
        while (System.nanoTime() < deadline) {
            Connection connection = null;
            try {
                try (Socket probe = new Socket()) {
                    probe.connect(new InetSocketAddress(url.getHost(), url.getPort()), 200);
                }
                connection = settings.connect();
                Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
                Message m = session.createConsumer(settings.destination(session)).receive(patienceSeconds * 1000);
                if (m != null) {
                    return System.nanoTime();
                }
            } catch (IOException | JMSException e) {
                Thread.sleep(5);    // it is still starting
            } finally {
                closeQuietly(connection);
            }
        }
        throw new IOException("no message after the restart");
    }

    private static void closeQuietly(Connection connection) {
        if (connection != null) {
            try {
                connection.close();
            } catch (JMSException e) {
                System.err.println("close: " + e);
            }
        }
    }

    private static double cpuSeconds() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime() / 1e9;
    }

    /** Compares what was sent with what came: the JSON fields that say whether the run counts. */
    private String verdict(List<Producer> producers, List<Consumer> consumers) throws InterruptedException {
        Thread.sleep(200);      // a duplicate would still arrive
        tally.stop = true;
        long sent = 0;
        long lost = 0;
        long duplicates = 0;
        Set<Tally.Seen> views = new LinkedHashSet<>();
        consumers.forEach(c -> views.add(c.seen));
        for (Producer p : producers) {
            sent += p.sent;
            for (Tally.Seen view : views) {
                for (int i = 0; i < p.sent; i++) {
                    int times = view.times[p.id].get(i);
                    lost += times == 0 ? 1 : 0;
                    duplicates += Math.max(0, times - 1);
                }
            }
        }
        boolean ok = sent > 0 && lost == 0 && duplicates == 0 && tally.orderBreaks.get() == 0 && tally.errors.get() == 0
                && tally.strangers.get() == 0;
        return (ok ? SOUND : "\"ok\":false") + ",\"sent\":" + sent + ",\"received\":" + tally.received + ",\"lost\":" + lost
                + ",\"duplicates\":" + duplicates + ",\"order_breaks\":" + tally.orderBreaks
                + ",\"redelivered\":" + tally.redelivered + ",\"strangers\":" + tally.strangers
                + ",\"errors\":" + tally.errors;
    }

    private static String f(double d) {
        return String.format(Locale.ROOT, "%.3f", Double.isFinite(d) ? d : 0);
    }
}
