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
 * The behaviours of docs/clients.md, performed by the Java client: those that are named, else all, one after the other; one
 * line of JSON for each. {@code python -m tests.clients.harness} gives it what it needs.
 */
final class Main {
  private static final long PATIENCE = 60;

  /** It throws where the promise does not hold. */
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
            Uploads.ALL,
            Catalogs.ALL,
            Trained.ALL,
            Calling.ALL)
        .forEach(all::putAll);
    for (String name : names) {
      if (!all.containsKey(name)) {
        System.err.println(name + ": is no behaviour");
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

  /** What was wrong, null where nothing was. */
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
