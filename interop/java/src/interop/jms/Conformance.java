package interop.jms;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Runs the table against the broker at INTEROP_OPENWIRE, several cases at a time. Prints a line a case, its fields separated by tabs:
 * {@code case NAME WANT CLASSIC REASON GOT}, and {@code restart} when it wants the broker started again, for which it waits for a line
 * on standard input. INTEROP_ONLY: a part of the names of the cases to run.
 */
public final class Conformance {
  private static final long LIMIT_SECONDS = 30;
  private static final int AT_A_TIME = 6;

  public static void main(String[] args) throws Exception {
    Table table = new Table();
    for (Consumer<Table> topic : topics()) {
      topic.accept(table);
    }
    String only = System.getenv("INTEROP_ONLY");
    List<Table.Case> cases = table.cases.stream().filter(c -> (only == null || c.name.contains(only)) && !(Table.OLD_CLIENT && c.simplified)).toList();
    Map<Table.Case, Object> before = new HashMap<>();
    List<Table.Case> restarted = cases.stream().filter(c -> c.after != null).toList();
    run(cases.stream().filter(c -> c.after == null).toList(), (c, peer) -> c.got = String.valueOf(c.body.run(peer)));
    run(restarted, (c, peer) -> {
      Object result = c.body.run(peer);
      synchronized (before) {
        before.put(c, result);
      }
    });
    if (!restarted.isEmpty()) {
      System.out.println("restart");
      new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).readLine();
      run(restarted.stream().filter(c -> c.got == null).toList(), (c, peer) -> c.got = String.valueOf(c.after.run(peer, before.get(c))));
    }
    if (System.getenv("INTEROP_TIMES") != null) {
      cases.stream().filter(c -> c.millis > 500).forEach(c -> System.out.println("note " + c.millis + " ms: " + c.name));
    }
    for (Table.Case c : cases) {
      System.out.println(String.join("\t", "case", c.name, line(c.want), line(c.classic), c.reason, line(c.got)));
    }
    System.out.println("done");
    System.out.flush();
    Runtime.getRuntime().halt(0); // whatever a case has left behind
  }

  private static List<Consumer<Table>> topics() {
    return List.of(Headers::addTo, Properties::addTo, Contents::addTo, Selectors::addTo, Acknowledging::addTo,
        Transacted::addTo, Lives::addTo, Subscriptions::addTo, Names::addTo,
        Fanout::addTo, Options::addTo, Simplified::addTo, Restarts::addTo);
  }

  private static String line(String text) {
    StringBuilder line = new StringBuilder();
    for (char c : text.toCharArray()) {
      line.append(c < ' ' || c > '~' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
    }
    return line.length() > 400 ? line.substring(0, 400) + "..." : line.toString();
  }

  private interface Part {
    void run(Table.Case c, Peer peer) throws Exception;
  }

  private static void run(List<Table.Case> cases, Part part) throws InterruptedException {
    ExecutorService pool = Executors.newFixedThreadPool(AT_A_TIME);
    List<Future<?>> futures = new ArrayList<>();
    for (Table.Case c : cases) {
      futures.add(pool.submit(() -> attempt(c, part)));
    }
    pool.shutdown();
    if (!pool.awaitTermination(10, TimeUnit.MINUTES)) {
      throw new IllegalStateException("the cases have not ended");
    }
  }

  /** Runs a case in a thread of its own, which is given up after the limit. What it throws is what it got. */
  private static void attempt(Table.Case c, Part part) {
    FutureTask<Void> task = new FutureTask<>(() -> {
      try (Peer peer = new Peer(Integer.toHexString(c.name.hashCode()))) {
        part.run(c, peer);
      }
      return null;
    });
    Thread thread = new Thread(task, c.name);
    thread.setDaemon(true);
    long start = System.nanoTime();
    thread.start();
    try {
      task.get(LIMIT_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      c.got = "threw " + e.getCause();
      e.getCause().printStackTrace();
    } catch (TimeoutException | InterruptedException e) {
      StringBuilder where = new StringBuilder("no end after " + LIMIT_SECONDS + " s, at");
      for (StackTraceElement frame : thread.getStackTrace()) {
        where.append(' ').append(frame.getClassName()).append('.').append(frame.getMethodName()).append(':').append(frame.getLineNumber());
      }
      c.got = where.toString();
    }
    c.millis += TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
  }
}
