package loadgen;

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
import java.util.concurrent.atomic.AtomicLong;

/**
 * Load client for one broker. It speaks to its parent over stdin and stdout: a line that begins with '@' marks a phase, and
 * after each it waits for a line on stdin; the last line is JSON.
 *
 *   mode=run      producers and consumers at once: warm-up, then the measured phase
 *   mode=backlog  fill with no consumer, wait while the broker restarts, then drain
 *   mode=idle     open connections and hold them
 */
public final class LoadGen {
    private static final BufferedReader PARENT = new BufferedReader(new InputStreamReader(System.in));

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
            default -> throw new IllegalArgumentException("--mode=" + load.settings.mode + "; want run, backlog or idle");
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
        List<Consumer> consumers = openConsumers();
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
        consumers.forEach(c -> endToEnd.add(c.latency));
        Histogram send = new Histogram();
        producers.forEach(p -> send.add(p.latency));
        return "{" + verdict + ",\"send_per_s\":" + f(sent / ((sendEnd - begin) / 1e9))
                + ",\"recv_per_s\":" + f(tally.received.get() / ((tally.lastReceive - begin) / 1e9))
                + ",\"seconds\":" + f((tally.lastReceive - begin) / 1e9)
                + ",\"e2e_us\":" + endToEnd.json() + ",\"send_us\":" + send.json()
                + ",\"client_cpu_s\":" + f(cpu) + "}";
    }

    private String backlog() throws Exception {
        List<Producer> producers = openProducers();
        warmConsumingClasses();
        mark("start");
        long begin = System.nanoTime();
        each(producers, p -> p.send(true, settings.perProducer, 0, tally));
        double fillSeconds = (System.nanoTime() - begin) / 1e9;
        for (Producer p : producers) {
            p.connection.close();
        }
        mark("filled");
        for (int i = 0; i < settings.restarts; i++) {
            mark("restart");    // the parent answers when it has started the broker again
            mark("first", awaitFirstMessage());
        }
        mark("drain");
        double cpu = cpuSeconds();
        long sent = producers.stream().mapToLong(p -> p.sent).sum();
        begin = System.nanoTime();
        List<Consumer> consumers = openConsumers();
        awaitReceived(tally.received, sent, 20);
        cpu = cpuSeconds() - cpu;
        mark("end");

        String verdict = verdict(producers, consumers);
        return "{" + verdict + ",\"fill_per_s\":" + f(sent / fillSeconds)
                + ",\"drain_per_s\":" + f(tally.received.get() / ((tally.lastReceive - begin) / 1e9))
                + ",\"client_cpu_s\":" + f(cpu) + "}";
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

    private static void start(String name, Runnable work) {
        Thread t = new Thread(work, name);
        t.setDaemon(true);
        t.start();
    }

    private interface Step {
        void run(Producer p) throws Exception;
    }

    private void each(List<Producer> producers, Step step) throws InterruptedException {
        CountDownLatch running = new CountDownLatch(producers.size());
        for (Producer p : producers) {
            start("producer-" + p.id, () -> {
                try {
                    step.run(p);
                } catch (Exception e) {
                    tally.error("producer " + p.id, e);
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
        long deadline = System.nanoTime() + 90_000_000_000L;
        URI url = new URI(settings.url.replaceAll("\\?.*", ""));
        while (System.nanoTime() < deadline) {
            Connection connection = null;
            try {
                try (Socket probe = new Socket()) {
                    probe.connect(new InetSocketAddress(url.getHost(), url.getPort()), 200);
                }
                connection = settings.connect();
                Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
                Message m = session.createConsumer(settings.destination(session)).receive(60_000);
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
        return "\"ok\":" + ok + ",\"sent\":" + sent + ",\"received\":" + tally.received + ",\"lost\":" + lost
                + ",\"duplicates\":" + duplicates + ",\"order_breaks\":" + tally.orderBreaks
                + ",\"redelivered\":" + tally.redelivered + ",\"strangers\":" + tally.strangers
                + ",\"errors\":" + tally.errors;
    }

    private static String f(double d) {
        return String.format(Locale.ROOT, "%.3f", Double.isFinite(d) ? d : 0);
    }
}
