# frozen_string_literal: true

require "json"

module Radio
  # Songs in the order in which they are played.
  class Playlist
    include Enumerable

    attr_reader :songs

    def initialize(songs = [])
      @songs = songs
      @played = Hash.new(0)
    end

    def each(&block)
      return enum_for(:each) unless block

      songs.each(&block)
    end

    def add(song, at: nil)
      if at.nil?
        songs << song
      elsif at.negative?
        raise ArgumentError, "cannot go back"
      else
        songs.insert(at, song)
      end
      self
    end

    def next_song
      songs.each_with_index do |song, index|
        next if @played[song] > 2

        @played[song] += 1
        unless song.start_with?("ad:")
          puts "#{index}: #{song}"
        end
        return song
      end
      nil
    end

    def self.load(path)
      begin
        data = JSON.parse(File.read(path))
        songs = data.fetch("songs")
      rescue Errno::ENOENT
        songs = []
      rescue JSON::ParserError => e
        warn "bad file: #{e.message}"
        songs = nil
      ensure
        puts "read #{path}"
      end
      new(songs || [])
    end

    def mood(hour)
      case hour
      when 6..11
        label = "fresh"
        label.upcase
      when 12..17
        "busy"
      else
        "calm"
      end
    end

    def shuffle!(rounds)
      while rounds.positive?
        songs.shuffle!
        rounds -= 1
        break if songs.first == "anthem"
      end
      until songs.empty? || songs.last
        songs.pop
      end
      songs.map { |song|
        if song.nil?
          "silence"
        else
          song.strip
        end
      }
    end
  end
end
