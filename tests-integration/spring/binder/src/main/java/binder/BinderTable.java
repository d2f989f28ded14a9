package binder;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.boot.context.properties.bind.Bindable;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.source.ConfigurationPropertySources;
import org.springframework.core.env.MapPropertySource;
import org.springframework.core.env.StandardEnvironment;
import org.springframework.core.env.SystemEnvironmentPropertySource;

/**
 * Reads rows of sources, key and type as JSON, and prints what Spring Boot's Binder makes of each:
 * {"value": …}, {"missing": true} or {"error": the class of the deepest cause}.
 */
public class BinderTable {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws IOException {
        var outcomes = new ArrayList<Map<String, Object>>();
        for (var row : JSON.readTree(System.in)) {
            outcomes.add(outcome(JSON.convertValue(row, Row.class)));
        }
        System.out.println(JSON.writeValueAsString(outcomes));
    }

    /** One row: sources from the highest down, environment variables above them. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Row(
            List<Map<String, Object>> sources,
            Map<String, Object> environ,
            String key,
            String type) {}

    private static Map<String, Object> outcome(Row row) {
        try {
            var found = Binder.get(environment(row)).bind(row.key(), Bindable.of(Types.named(row.type())));
            if (!found.isBound()) {
                return Map.of("missing", true);
            }
            var outcome = new LinkedHashMap<String, Object>();
            outcome.put("value", Shown.of(found.get()));
            return outcome;
        } catch (RuntimeException error) {
            Throwable cause = error;
            while (cause.getCause() != null) {
                cause = cause.getCause();
            }
            return Map.of("error", cause.getClass().getSimpleName());
        }
    }

    private static StandardEnvironment environment(Row row) {
        var environment = new StandardEnvironment();
        var sources = environment.getPropertySources();
        for (var name : List.of("systemProperties", "systemEnvironment")) {
            sources.remove(name);
        }
        if (row.environ() != null) {
            sources.addLast(
                    new SystemEnvironmentPropertySource("systemEnvironment", row.environ()));
        }
        for (int number = 0; number < row.sources().size(); number++) {
            sources.addLast(new MapPropertySource("source" + number, row.sources().get(number)));
        }
        ConfigurationPropertySources.attach(environment);
        return environment;
    }
}
