package client;

import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.context.properties.bind.Bindable;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** What the service has got, injected and bound as services do. */
@RestController
@RefreshScope
public class Shown {
    private final String who;
    private final Environment environment;

    public Shown(@Value("${who:nobody}") String who, Environment environment) {
        this.who = who;
        this.environment = environment;
    }

    @GetMapping("/shown")
    public Map<String, Object> shown() {
        var hosts = Binder.get(environment).bind("hosts", Bindable.listOf(String.class));
        return Map.of("who", who, "hosts", hosts.orElse(List.of()));
    }
}
