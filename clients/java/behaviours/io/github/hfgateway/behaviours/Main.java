package io.github.hfgateway.behaviours;

import com.google.gson.JsonObject;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs the behaviours of docs/clients.md with the Java client: the named ones or all, one after the other. Prints a line of
 * JSON for each. {@code python -m tests.clients.harness} provides the environment.
 */
final class Main {
  private static final long PATIENCE = 90;

  /** A behaviour. It throws if it fails. */
  interface Behaviour {
    void perform(Stage stage) throws Exception;
  }

  private Main() {}

  public static void main(String[] names) throws InterruptedException {
    Map<String, Behaviour> all = new LinkedHashMap<>();
    List.of(
            Submitting.ALL,
            Following.ALL,
            Ending.ALL,
            Access.ALL,
            Connections.ALL,
            Uploads.ALL,
            Catalogs.ALL,
            Trained.ALL,
            Calling.ALL)
        .forEach(all::putAll);
    for (String name : names) {
      if (!all.containsKey(name)) {
        System.err.println("unknown behaviour: " + name);
        System.exit(2);
      }
    }
    boolean held = true;
    try (Stage stage = new Stage()) {
      for (String name : names.length == 0 ? all.keySet() : List.of(names)) {
        String error = judge(all.get(name), stage);
        JsonObject line = new JsonObject();
        line.addProperty("behaviour", name);
        line.addProperty("ok", error == null);
        if (error != null) {
          held = false;
          line.addProperty("error", error);
        }
        System.out.println(line);
      }
    }
    System.exit(held ? 0 : 1);
  }

  /** Runs a behaviour. Returns its error, or null if it passed. */
  private static String judge(Behaviour behaviour, Stage stage) throws InterruptedException {
    ExecutorService thread = Executors.newSingleThreadExecutor();
    Future<?> performed =
        thread.submit(
            () -> {
              behaviour.perform(stage);
              return null;
            });
    try {
      performed.get(PATIENCE, TimeUnit.SECONDS);
      return null;
    } catch (ExecutionException error) {
      error.getCause().printStackTrace();
      return error.getCause().toString();
    } catch (TimeoutException error) {
      return "took longer than " + PATIENCE + " s";
    } finally {
      thread.shutdownNow();
    }
  }
}
