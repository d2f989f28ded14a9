import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.yaml.snakeyaml.DumperOptions;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import org.yaml.snakeyaml.nodes.Tag;
import org.yaml.snakeyaml.representer.Representer;
import org.yaml.snakeyaml.resolver.Resolver;

/**
 * Loads every text of a file of JSON strings, one a line, with SnakeYAML set up as Spring Boot does
 * (no timestamps, no duplicate keys), and prints what came out, one JSON object a line.
 */
public class SnakeYamlTypes {
  static class NoTimestamps extends Resolver {
    @Override
    public void addImplicitResolver(Tag tag, Pattern pattern, String first, int limit) {
      if (tag != Tag.TIMESTAMP) {
        super.addImplicitResolver(tag, pattern, first, limit);
      }
    }
  }

  public static void main(String[] args) throws Exception {
    for (String line : Files.readAllLines(Path.of(args[0]), StandardCharsets.UTF_8)) {
      String text = (String) new Yaml().load(line);
      LoaderOptions options = new LoaderOptions();
      options.setAllowDuplicateKeys(false);
      options.setMaxAliasesForCollections(Integer.MAX_VALUE);
      DumperOptions dumping = new DumperOptions();
      Yaml yaml = new Yaml(new SafeConstructor(options), new Representer(dumping), dumping,
          options, new NoTimestamps());
      String outcome;
      try {
        outcome = "\"value\": " + show(yaml.load(text));
      } catch (RuntimeException | StackOverflowError error) {
        outcome = "\"error\": " + quote(error.getClass().getSimpleName());
      }
      System.out.println("{\"yaml\": " + line + ", " + outcome + "}");
    }
  }

  /** Every value is an array of its type and what it holds; mappings are lists of pairs. */
  static String show(Object value) {
    if (value == null) {
      return "[\"null\"]";
    }
    if (value instanceof Map<?, ?> map) {
      StringBuilder out = new StringBuilder("[\"map\"");
      map.forEach((k, v) -> out.append(", [").append(show(k)).append(", ").append(show(v)).append("]"));
      return out.append("]").toString();
    }
    if (value instanceof List<?> list) {
      StringBuilder out = new StringBuilder("[\"list\"");
      list.forEach(v -> out.append(", ").append(show(v)));
      return out.append("]").toString();
    }
    if (value instanceof Boolean) {
      return "[\"bool\", " + value + "]";
    }
    if (value instanceof Double) {
      return "[\"float\", \"" + value + "\"]";
    }
    if (value instanceof Number) {
      return "[\"int\", " + value + "]";
    }
    if (value instanceof String text) {
      return "[\"str\", " + quote(text) + "]";
    }
    return "[\"other\", " + quote(value.getClass().getSimpleName()) + "]";
  }

  static String quote(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < 0x20 || c > 0x7e) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    return out.append('"').toString();
  }
}
