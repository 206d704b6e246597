"""What docker-compose's profile ``local`` runs besides the emulator itself."""
