package interop;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Scenarios in order, each bounded in time; one line each: {@code ok NAME} or {@code FAIL NAME reason}, at the end {@code done}. */
final class Suite {
  interface Scenario {
    void run() throws Exception;
  }

  static final long LIMIT_SECONDS = 30;

  private final Map<String, Scenario> scenarios = new LinkedHashMap<>();
  private final Map<String, Long> limits = new LinkedHashMap<>();

  void add(String name, Scenario scenario) {
    add(name, LIMIT_SECONDS, scenario);
  }

  void add(String name, long limitSeconds, Scenario scenario) {
    if (scenarios.put(name, scenario) != null) {
      throw new IllegalArgumentException("two scenarios named " + name);
    }
    limits.put(name, limitSeconds);
  }

  void run() throws InterruptedException {
    String only = System.getenv("INTEROP_ONLY"); // to look into one scenario by hand
    for (Map.Entry<String, Scenario> entry : scenarios.entrySet()) {
      if (only == null || only.equals(entry.getKey())) {
        long start = System.nanoTime();
        String reason = attempt(entry.getValue(), limits.get(entry.getKey()));
        long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
        System.out.println(reason == null ? "ok " + entry.getKey() + " " + millis + "ms" : "FAIL " + entry.getKey() + " " + reason);
      }
    }
    System.out.println("done");
  }

  private static String attempt(Scenario scenario, long limitSeconds) throws InterruptedException {
    FutureTask<Void> task = new FutureTask<>(() -> {
      scenario.run();
      return null;
    });
    Thread thread = new Thread(task, "scenario");
    thread.setDaemon(true);
    thread.start();
    try {
      task.get(limitSeconds, TimeUnit.SECONDS);
      return null;
    } catch (TimeoutException e) {
      StringBuilder where = new StringBuilder("not done after " + limitSeconds + " s, at");
      for (StackTraceElement frame : thread.getStackTrace()) {
        where.append(' ').append(frame.getClassName()).append('.').append(frame.getMethodName()).append(':').append(frame.getLineNumber());
      }
      thread.interrupt();
      return where.toString();
    } catch (ExecutionException e) {
      e.getCause().printStackTrace();
      return String.valueOf(e.getCause()).replace('\n', ' ');
    }
  }
}
