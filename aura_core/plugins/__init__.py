"""Who answers: finding and checking plugins, and the provider instances that are made of them."""
