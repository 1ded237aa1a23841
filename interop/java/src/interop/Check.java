package interop;

import java.util.Arrays;
import java.util.Objects;

/** What a scenario demands; a breach ends the scenario with words that show what came and what should have. */
final class Check {
  static void equal(String what, Object got, Object want) {
    if (!Objects.deepEquals(got, want)) {
      throw new AssertionError(what + ": got " + show(got) + ", want " + show(want));
    }
  }

  static void that(String what, boolean holds) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  /** The call must throw exactly this type or one below it. */
  static <E extends Exception> E thrown(Class<E> type, Suite.Scenario call) {
    try {
      call.run();
    } catch (Exception e) {
      if (type.isInstance(e)) {
        return type.cast(e);
      }
      throw new AssertionError("got " + e + ", want " + type.getName(), e);
    }
    throw new AssertionError("no exception, want " + type.getName());
  }

  private static String show(Object value) {
    String text = value instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(value);
    return text.length() > 200 ? text.substring(0, 200) + "... (" + text.length() + " characters)" : text;
  }
}
