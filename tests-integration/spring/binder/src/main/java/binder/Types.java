package binder;

import java.math.BigDecimal;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.springframework.core.ResolvableType;
import org.springframework.util.unit.DataSize;

/** The types of the table by their names there, such as `map[str, list[int]]`. */
final class Types {
    private static final Map<String, Class<?>> PLAIN =
            Map.ofEntries(
                    Map.entry("str", String.class),
                    Map.entry("int", Long.class),
                    Map.entry("float", Double.class),
                    Map.entry("bool", Boolean.class),
                    Map.entry("decimal", BigDecimal.class),
                    Map.entry("duration", Duration.class),
                    Map.entry("size", DataSize.class),
                    Map.entry("date", LocalDate.class),
                    Map.entry("datetime", LocalDateTime.class),
                    Map.entry("time", LocalTime.class),
                    Map.entry("uuid", UUID.class),
                    Map.entry("path", Path.class),
                    Map.entry("any", Object.class),
                    Map.entry("Level", Level.class),
                    Map.entry("Pool", Pool.class),
                    Map.entry("Database", Database.class));

    private Types() {}

    static ResolvableType named(String name) {
        int bracket = name.indexOf('[');
        if (bracket < 0) {
            return ResolvableType.forClass(PLAIN.get(name));
        }
        var inner = split(name.substring(bracket + 1, name.length() - 1));
        var arguments = inner.stream().map(Types::named).toArray(ResolvableType[]::new);
        var container =
                switch (name.substring(0, bracket)) {
                    case "list" -> List.class;
                    case "set" -> Set.class;
                    case "map" -> Map.class;
                    default -> throw new IllegalArgumentException(name);
                };
        return ResolvableType.forClassWithGenerics(container, arguments);
    }

    private static List<String> split(String text) {
        var parts = new ArrayList<String>();
        int depth = 0;
        int start = 0;
        for (int position = 0; position < text.length(); position++) {
            char found = text.charAt(position);
            depth += found == '[' ? 1 : found == ']' ? -1 : 0;
            if (found == ',' && depth == 0) {
                parts.add(text.substring(start, position).strip());
                start = position + 1;
            }
        }
        parts.add(text.substring(start).strip());
        return parts;
    }

    /** An enumeration, whose members are found by relaxed names. */
    public enum Level {
        LOW,
        VERY_HIGH
    }

    /** A nested object. */
    public static class Pool {
        private Integer size;
        private Duration wait;

        public Integer getSize() {
            return size;
        }

        public void setSize(Integer size) {
            this.size = size;
        }

        public Duration getWait() {
            return wait;
        }

        public void setWait(Duration wait) {
            this.wait = wait;
        }
    }

    /** An object with everything in it. */
    public static class Database {
        private String url;
        private Integer poolSize;
        private Pool pool;
        private List<String> hosts;
        private List<Pool> replicas;
        private Map<String, String> labels = new HashMap<>();

        public String getUrl() {
            return url;
        }

        public void setUrl(String url) {
            this.url = url;
        }

        public Integer getPoolSize() {
            return poolSize;
        }

        public void setPoolSize(Integer poolSize) {
            this.poolSize = poolSize;
        }

        public Pool getPool() {
            return pool;
        }

        public void setPool(Pool pool) {
            this.pool = pool;
        }

        public List<String> getHosts() {
            return hosts;
        }

        public void setHosts(List<String> hosts) {
            this.hosts = hosts;
        }

        public List<Pool> getReplicas() {
            return replicas;
        }

        public void setReplicas(List<Pool> replicas) {
            this.replicas = replicas;
        }

        public Map<String, String> getLabels() {
            return labels;
        }

        public void setLabels(Map<String, String> labels) {
            this.labels = labels;
        }
    }
}
